"""Multimodal named entity recognition with vision-language LLMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from instruct_mner.tagging.client import Client
    from instruct_mner.tagging.tagger import Tagger

__all__ = ["Client", "Tagger", "__version__"]


def __getattr__(name: str) -> object:
    # `Tagger` brings torch and transformers with it: only who asks for it waits for them.
    if name == "Tagger":
        from instruct_mner.tagging.tagger import Tagger

        return Tagger
    if name == "Client":
        from instruct_mner.tagging.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
