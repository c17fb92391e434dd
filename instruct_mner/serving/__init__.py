"""Serving: vLLM in a process of its own, and a gateway in front of it that strangers may talk to.

The way of a start, ``serve.py``: what is to be served is checked (``plan.py``), vLLM is started on a private port
(``command.py``, ``process.py``, ``guard.py``), asked whether it does what it must (``selfcheck.py``), and only then the
gateway opens (``gateway.py`` with ``entities.py``, ``passthrough.py``, ``admission.py``, ``limits.py``).
"""
