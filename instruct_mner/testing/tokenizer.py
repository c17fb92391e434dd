"""A byte-level BPE tokenizer with the special tokens and the chat template of a family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AddedToken, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Vocabulary:
    """Special tokens and chat template of a family's tokenizer.

    Attributes:
        special_tokens: All of them; the first is the padding.
        end_of_turn: The one that ends an answer.
        chat_template: Jinja template, as the family's models ship it.
        named: Special tokens that the processor finds by attribute, such as ``image_token``.
        added: Tokens that are none of the special ones, and are whole wherever they stand.
    """

    special_tokens: tuple[str, ...]
    end_of_turn: str
    chat_template: str
    named: dict[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()


def train_tokenizer(
    words: Vocabulary, texts: Iterable[str], size: int, *, digits: bool = False
) -> PreTrainedTokenizerFast:
    """Train a tokenizer; every byte is in it, so that no text is unknown.

    Args:
        words: Special tokens and template.
        texts: Texts that merges are learned from.
        size: Largest number of tokens.
        digits: True where each digit is a token of its own.
    """
    tokenizer = Tokenizer(models.BPE())
    split = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(words.special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=words.end_of_turn,
        pad_token=words.special_tokens[0],
        additional_special_tokens=list(words.special_tokens),
        extra_special_tokens=words.named,
        clean_up_tokenization_spaces=False,
    )
    made.add_tokens([AddedToken(text, normalized=False) for text in words.added])
    return made
