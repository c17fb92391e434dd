"""Training of the starter model: one command, ``python -m eval.starter_training.build OUT``."""
