"""Which tokens write a piece of a text: found in the ids themselves, never by tokenising the text once more."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

# Normal forms that tokenizers bring a text into, the usual one first.
_FORMS = (None, "NFC", "NFKC")


@dataclass(frozen=True)
class Place:
    """Where a text stands in tokens.

    Attributes:
        sequence: The tokens.
        text: The text, from ``skipped`` on.
        skipped: Characters at its beginning that the template may have stripped.
        begin: Its first byte.
        form: The normal form in which it stands there.
    """

    sequence: TokenSequence
    text: str
    skipped: int
    begin: int
    form: str | None

    def tokens(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last position of the tokens of some characters; ``None`` where there are none."""
        return self.sequence.between(self._byte(start), self._byte(end))

    def _byte(self, character: int) -> int:
        before = self.text[: max(0, character - self.skipped)]
        return self.begin + len(_normal(before, self.form).encode())


@dataclass(frozen=True)
class TokenSequence:
    """Some tokens of a row with the bytes that each writes.

    Attributes:
        positions: Where they stand in the row.
        pieces: The bytes of each; none for a special token.
    """

    positions: tuple[int, ...]
    pieces: tuple[bytes, ...]

    @cached_property
    def whole(self) -> bytes:
        """All of them."""
        return b"".join(self.pieces)

    @cached_property
    def _starts(self) -> list[int]:
        starts, position = [], 0
        for piece in self.pieces:
            starts.append(position)
            position += len(piece)
        return starts

    def find(self, text: str) -> Place | None:
        """The last place of a text, but for spaces at its edges; ``None`` where it does not stand there."""
        stripped = text.strip()
        for form in _FORMS:
            begin = self.whole.rfind(_normal(stripped, form).encode())
            if begin >= 0:
                return Place(self, stripped, len(text) - len(text.lstrip()), begin, form)
        return None

    def between(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last position of the tokens that write bytes from ``start`` to ``end``."""
        inside = [
            position
            for position, piece, begin in zip(self.positions, self.pieces, self._starts, strict=True)
            if piece and begin < end and begin + len(piece) > start
        ]
        return (inside[0], inside[-1]) if inside else None


class TokenText:
    """The bytes of a model's tokens.

    Args:
        tokenizer: Of the model.
        vocabulary: Rows of its embeddings.
    """

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._pieces: dict[int, bytes] = {}

    def sequence(self, ids: Sequence[int], positions: Sequence[int]) -> TokenSequence:
        """Some tokens of a row.

        Args:
            ids: The row.
            positions: Those of them that are meant.
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
    def _guide(self) -> Any:
        from llguidance.hf import from_tokenizer

        return from_tokenizer(self._tokenizer, n_vocab=self._vocabulary)


def _normal(text: str, form: str | None) -> str:
    return text if form is None else unicodedata.normalize(form, text)  # type: ignore[arg-type]
