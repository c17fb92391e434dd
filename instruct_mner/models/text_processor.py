"""The processor of a model without eyes: its tokenizer, with the few methods of a processor that are used here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from instruct_mner.prompting.conversation import Message, joined_parts

# Llama 3.1 to 3.3 write this day where they are told no other.
_DATE = "26 Jul 2024"
_TODAY = re.compile(r"strftime_now\(\s*(?:'[^']*'|\"[^\"]*\")\s*\)")
_NO_THINKING = "{%- set enable_thinking = false %}"
_TENSORS = ("input_ids", "attention_mask")


class TextProcessor:
    """A tokenizer that is called as a processor is.

    Chat templates of text models take the content of a message as one string; parts are joined as they stand. A
    template that writes today's date, or lets a model think before it answers, is changed: see
    :func:`steady_template`.

    Args:
        tokenizer: The tokenizer of the model; without a token for padding it pads with the token that ends a turn.

    Attributes:
        tokenizer: The same.
        changed: Whether its chat template is another than the model's own.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        own = tokenizer.chat_template
        if isinstance(own, str):
            tokenizer.chat_template = steady_template(own)
        self.changed = tokenizer.chat_template != own

    @classmethod
    def from_pretrained(cls, source: str | Path, revision: str | None = None) -> TextProcessor:
        """Load the tokenizer of a model."""
        return cls(AutoTokenizer.from_pretrained(source, revision=revision))

    @property
    def chat_template(self) -> str | None:
        """The chat template of the tokenizer."""
        return self.tokenizer.chat_template  # type: ignore[no-any-return]

    def save_pretrained(self, folder: str | Path) -> None:
        """Save the tokenizer with its template."""
        self.tokenizer.save_pretrained(folder)

    def apply_chat_template(self, messages: Sequence[Message], **arguments: Any) -> Any:
        """Render a conversation; see ``PreTrainedTokenizerBase.apply_chat_template``."""
        return self.tokenizer.apply_chat_template([joined_parts(each) for each in messages], **arguments)

    def __call__(self, *, text: Sequence[str], images: None = None, **arguments: Any) -> Any:
        """Return ``input_ids`` and ``attention_mask`` of texts; see ``PreTrainedTokenizerBase.__call__``."""
        assert images is None, "a model without eyes is given no picture"
        encoded = self.tokenizer(list(text), **arguments)
        for name in set(encoded) - set(_TENSORS):
            del encoded[name]
        return encoded


def leaves_thoughts_out(template: str) -> bool:
    """Return true for a chat template that :func:`steady_template` has told to leave no place for thoughts."""
    return _NO_THINKING in template


def steady_template(template: str) -> str:
    """Return a chat template that writes the same prompt every day, and leaves no place for thoughts.

    Source: chat templates of Llama 3.1 to 3.3, SmolLM3 and Mistral Small 3, which call ``strftime_now``; of Qwen3,
    Qwen3.5, Gemma 4 and SmolLM3, which ask for ``enable_thinking``.
    """
    template = _TODAY.sub(f'"{_DATE}"', template)
    return _NO_THINKING + template if "enable_thinking" in template and _NO_THINKING not in template else template
