"""Keeps the libraries' notes to programmers off the user's screen."""

from __future__ import annotations

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Lets only errors of the libraries through; called before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in ("peft", "trl", "accelerate", "bitsandbytes", "datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for module in ("transformers", "trl", "peft", "torch"):
        warnings.filterwarnings("ignore", module=rf"{module}\.")
