"""Tokens that write a piece of a text, found in the ids themselves, never by tokenising the text once more."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from llguidance.hf import from_tokenizer

from instruct_mner.schema.choices import Segmentation

if TYPE_CHECKING:
    from llguidance import LLTokenizer
    from transformers import PreTrainedTokenizerBase

# Unicode normal forms that tokenizers bring a text into, the usual one first.
_FORMS = (None, "NFC", "NFKC")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Place of a text in tokens.

    Attributes:
        sequence: Tokens.
        text: Text, from ``skipped`` on.
        skipped: Number of characters at its beginning that the template may have stripped.
        begin: First byte of the text in the bytes of the tokens.
        form: Unicode normal form of the text in the tokens; ``None`` where it is not normalised.
    """

    sequence: TokenSequence
    text: str
    skipped: int
    begin: int
    form: str | None

    def tokens(self, start: int, end: int) -> tuple[int, int] | None:
        """Return first and last position of the tokens of some characters; ``None`` where there are none."""
        return self.sequence.between(self._byte(start), self._byte(end))

    def _byte(self, character: int) -> int:
        before = self.text[: max(0, character - self.skipped)]
        return self.begin + len(_normal(before, self.form).encode())


@dataclass(frozen=True)
class TokenSequence:
    """Tokens at some positions of a row, with the bytes that each writes.

    Attributes:
        positions: Positions of the tokens in the row.
        pieces: Bytes of each token; empty for a special token.
    """

    positions: tuple[int, ...]
    pieces: tuple[bytes, ...]

    @cached_property
    def whole(self) -> bytes:
        """Bytes of all tokens."""
        return b"".join(self.pieces)

    @cached_property
    def _starts(self) -> list[int]:
        starts, position = [], 0
        for piece in self.pieces:
            starts.append(position)
            position += len(piece)
        return starts

    def find(self, text: str) -> Place | None:
        """Return the last place of a text, less the spaces at its edges; ``None`` where it is not there."""
        stripped = text.strip()
        for form in _FORMS:
            begin = self.whole.rfind(_normal(stripped, form).encode())
            if begin >= 0:
                skipped = len(text) - len(text.lstrip())
                return Place(sequence=self, text=stripped, skipped=skipped, begin=begin, form=form)
        return None

    def between(self, start: int, end: int) -> tuple[int, int] | None:
        """Return first and last position of the tokens that write bytes from ``start`` to ``end``."""
        inside = [
            position
            for position, piece, begin in zip(self.positions, self.pieces, self._starts, strict=True)
            if piece and begin < end and begin + len(piece) > start
        ]
        return (inside[0], inside[-1]) if inside else None


class TokenText:
    """Bytes of a model's tokens.

    Args:
        tokenizer: Tokenizer of the model.
        vocabulary_size: Number of rows of the model's token embeddings.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary_size: int) -> None:
        self._tokenizer = tokenizer
        self._vocabulary_size = vocabulary_size
        self._pieces: dict[int, bytes] = {}

    def sequence(self, ids: Sequence[int], positions: Sequence[int]) -> TokenSequence:
        """Return the tokens at some positions of a row.

        Args:
            ids: Token ids of the row.
            positions: Positions in ``ids``.
        """
        return TokenSequence(tuple(positions), tuple(self._piece(ids[position]) for position in positions))

    def _piece(self, token: int) -> bytes:
        if token not in self._pieces:
            self._pieces[token] = b"" if token in self._special else self._guide.decode_bytes([token])
        return self._pieces[token]

    @cached_property
    def _special(self) -> frozenset[int]:
        return frozenset(self._tokenizer.all_special_ids)

    @cached_property
    def _guide(self) -> LLTokenizer:
        return from_tokenizer(self._tokenizer, n_vocab=self._vocabulary_size)


def word_spans(text: str, segmentation: Segmentation = "words") -> list[tuple[int, int]]:
    """Return first character and end of each word, or of each character that is no space, of a text."""
    pattern = r"\S" if segmentation == "characters" else r"\S+"
    return [match.span() for match in re.finditer(pattern, text)]


def overlapping(spans: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """Return the numbers of the first and last span that share a character with ``start`` to ``end``."""
    inside = [number for number, (first, last) in enumerate(spans) if first < end and last > start]
    return (inside[0], inside[-1]) if inside else None


def _normal(text: str, form: str | None) -> str:
    return text if form is None else unicodedata.normalize(form, text)  # type: ignore[arg-type]
