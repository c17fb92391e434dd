"""Proofs about the gateway, each a program with its sizes as arguments; the engine behind it is a stand-in.

``fuzz`` runs the gateway in this process; the others start ``server`` as a process, and that starts ``stand_in`` as
``serve`` starts vLLM. Each prints one JSON object, and ends with 1 where anything is wrong.
"""
