"""Tiny models of every family with random weights, for tests and for the demo.

They are stock architectures with stock processors, saved as any other model is, so that what runs on them is the
real loading, training, tagging and serving code. They know nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from instruct_mner.models.checkpoint_names import save_whole
from instruct_mner.models.families import find_family
from instruct_mner.testing import idefics, newer, others, qwen, text
from instruct_mner.testing.tokenizer import Vocabulary, train_tokenizer

Builder = Callable[[Any, int, int], tuple[Any, Any]]

_FAMILIES: dict[str, tuple[Vocabulary, Builder]] = {
    "idefics3": (idefics.VOCABULARY, idefics.build_idefics3),
    "smolvlm": (idefics.VOCABULARY, idefics.build_smolvlm),
    "qwen2_vl": (qwen.VOCABULARY, qwen.build_qwen2_vl),
    "qwen2_5_vl": (qwen.VOCABULARY, qwen.build_qwen2_5_vl),
    "qwen3_vl": (qwen.VOCABULARY, qwen.build_qwen3_vl),
    "qwen3_vl_moe": (qwen.VOCABULARY, newer.build_qwen3_vl_moe),
    "qwen3_5": (newer.QWEN3_5_VOCABULARY, newer.build_qwen3_5),
    "gemma3": (others.GEMMA_VOCABULARY, others.build_gemma3),
    "gemma4": (newer.GEMMA4_VOCABULARY, newer.build_gemma4),
    "glm46v": (newer.GLM_VOCABULARY, newer.build_glm46v),
    "internvl": (others.INTERNVL_VOCABULARY, others.build_internvl),
    "llava_onevision": (others.LLAVA_VOCABULARY, others.build_llava_onevision),
    # Models of a family above that differ from it.
    "internvl3_5": (others.INTERNVL_VOCABULARY, newer.build_internvl3_5),
    "gemma4_shared": (newer.GEMMA4_VOCABULARY, newer.build_gemma4_shared),
    **{name: (words, partial(text.build_text, name)) for name, words in text.VOCABULARIES.items()},
}


def build_tiny(
    family: str,
    folder: Path,
    *,
    texts: Iterable[str],
    vocabulary: int = 600,
    width: int = 64,
    layers: int = 2,
    seed: int = 0,
) -> Path:
    """Make a model with random weights and its processor, and saves both.

    Args:
        family: A key of ``FAMILIES``, or ``internvl3_5`` or ``gemma4_shared``.
        folder: Folder of the output.
        texts: Texts that the byte-level BPE tokenizer is trained on.
        vocabulary: Size of the vocabulary.
        width: Width of the decoder, a multiple of 32.
        layers: Number of layers.
        seed: Seed of the weights.
    """
    from transformers import logging, set_seed

    logging.disable_progress_bar()
    set_seed(seed)
    words, build = _FAMILIES[family]
    tokenizer = train_tokenizer(words, texts, vocabulary)
    model, processor = build(tokenizer, width, layers)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    save_whole(model, folder, find_family(model.config.model_type))
    processor.save_pretrained(folder)
    return folder
