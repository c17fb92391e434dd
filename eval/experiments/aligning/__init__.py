"""The parts of ``alignment.py``: runs of arms, what is right in their answers, statistics, and tables."""
