"""Multimodal named entity recognition with vision-language LLMs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from instruct_mner.tagging.annotated_posts import evaluate, load
    from instruct_mner.tagging.client import Client
    from instruct_mner.tagging.tagger import Tagger

__all__ = ["Client", "Tagger", "__version__", "evaluate", "load"]

# `Tagger` brings torch and transformers with it: only who asks for it waits for them.
_MODULES = {
    "Client": "instruct_mner.tagging.client",
    "Tagger": "instruct_mner.tagging.tagger",
    "evaluate": "instruct_mner.tagging.annotated_posts",
    "load": "instruct_mner.tagging.annotated_posts",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
