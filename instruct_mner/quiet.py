"""Keeps the libraries' notes to programmers off the user's screen, and their reports of use on this machine."""

from __future__ import annotations

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Lets only errors of the libraries through, and nothing out; called before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # TRL tells the hub of every trainer that is made. vLLM and Ray are told where they are started.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for name in ("peft", "trl", "accelerate", "bitsandbytes", "datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for module in ("transformers", "trl", "peft", "torch"):
        warnings.filterwarnings("ignore", module=rf"{module}\.")
