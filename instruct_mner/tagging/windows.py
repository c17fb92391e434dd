"""Texts that do not fit into the model's context: windows that overlap at the ends of sentences, and their join."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.schema.offsets import chunks
from instruct_mner.schema.records import Example, PredictedEntity, Prediction, Rejected

Span = tuple[int, int]

_SENTENCE = re.compile(r"(?:[.!?…]+[\"'”’»)\]]*(?=\s|$)|[。！？]+[”’」』）]*|\n)\s*")
_WORD = re.compile(r"\S+\s*")
# A window begins with this share of the one before it, at least with its last piece; so does a piece fill no more.
_OVERLAP = 4
# Units of a text that an inline answer takes; with more, its grammar counts no brackets.
_INLINE_UNITS = 600


@dataclass(frozen=True, kw_only=True)
class WindowSize:
    """Size of a window.

    Attributes:
        num_tokens: Largest number of tokens.
        num_characters: Largest number of characters.
    """

    num_tokens: int
    num_characters: int

    def holds(self, num_tokens: int, num_characters: int) -> bool:
        """Return whether a window of this size holds so much text."""
        return num_tokens <= self.num_tokens and num_characters <= self.num_characters


def most_characters(spec: AnswerSpec, text: str) -> int:
    """Return the length of the longest part of a text that is asked about at once, whatever the model's context.

    llguidance's budgets end not far behind it. An inline answer has rules for each unit of the text: a character, or a
    word, a space, a sign.

    Args:
        spec: Form of the answer.
        text: Text of the post.
    """
    anywhere = spec.segmentation == "characters"
    if spec.format == "inline":
        # No part of so many characters has more units.
        return _INLINE_UNITS if anywhere or _is_dense(text) else 2 * _INLINE_UNITS
    return 3_000 if anywhere else 30_000


def _is_dense(text: str) -> bool:
    """Return true where some part of a text has more units than an inline answer takes."""
    ends = [0, *accumulate(map(len, chunks(text)))]
    return any(later - earlier < 2 * _INLINE_UNITS for earlier, later in zip(ends, ends[_INLINE_UNITS:], strict=False))


def cut(text: str, size: WindowSize, count_tokens: Callable[[str], int]) -> list[Span]:
    """Return the windows of a text, as first and last (exclusive) characters.

    Windows consist of whole sentences; a sentence that fills more than a quarter of a window is cut between words, a
    word between characters. Neighbouring pieces are always together in some window, so that an entity that runs over
    the end of one piece is in one window as a whole.

    Args:
        text: Text of a post.
        size: Size of a window.
        count_tokens: Function that gives the number of tokens of a text.
    """
    quarter = WindowSize(num_tokens=size.num_tokens // _OVERLAP, num_characters=size.num_characters // _OVERLAP)
    pieces = list(_pieces(text, quarter, count_tokens))
    windows: list[Span] = []
    first = 0
    while True:
        last, tokens = first, 0
        while last < len(pieces):
            (_, end), piece_tokens = pieces[last]
            if last > first + 1 and not size.holds(tokens + piece_tokens, end - pieces[first][0][0]):
                break
            tokens += piece_tokens
            last += 1
        windows.append((pieces[first][0][0], pieces[last - 1][0][1]))
        if last == len(pieces):
            return windows
        first = _next_first(pieces, first, last, quarter)


def _next_first(pieces: Sequence[tuple[Span, int]], first: int, last: int, quarter: WindowSize) -> int:
    """Return the piece with which the next window begins: the last ones of the window before it, at least one."""
    begin, tokens = last - 1, pieces[last - 1][1]
    while begin - 1 > first:
        (start, _), piece_tokens = pieces[begin - 1]
        if not quarter.holds(tokens + piece_tokens, pieces[last - 1][0][1] - start):
            break
        begin, tokens = begin - 1, tokens + piece_tokens
    return begin


def _pieces(text: str, size: WindowSize, count_tokens: Callable[[str], int]) -> Iterator[tuple[Span, int]]:
    """Cut a text into sentences, long ones into words and these into characters, each with its number of tokens."""
    for start, end in _split(text, 0, len(text), _SENTENCE):
        tokens = count_tokens(text[start:end])
        if size.holds(tokens, end - start):
            yield (start, end), tokens
        else:
            yield from _groups(text, start, end, size, count_tokens)


def _split(text: str, start: int, end: int, borders: re.Pattern[str]) -> Iterator[Span]:
    edges = sorted({start, end, *(match.end() for match in borders.finditer(text, start, end))})
    return pairwise(edges)


def _groups(
    text: str, start: int, end: int, size: WindowSize, count_tokens: Callable[[str], int]
) -> Iterator[tuple[Span, int]]:
    """Join the words of a long sentence to pieces; of a long word, parts of as many characters as fit for certain."""
    begin, tokens = start, 0
    for word_start, word_end in _units(text, start, end, size, count_tokens):
        word_tokens = count_tokens(text[word_start:word_end])
        if word_start > begin and not size.holds(tokens + word_tokens, word_end - begin):
            yield (begin, word_start), tokens
            begin, tokens = word_start, 0
        tokens += word_tokens
    yield (begin, end), tokens


def _units(text: str, start: int, end: int, size: WindowSize, count_tokens: Callable[[str], int]) -> Iterator[Span]:
    for word_start, word_end in _split(text, start, end, _WORD):
        if size.holds(count_tokens(text[word_start:word_end]), word_end - word_start):
            yield word_start, word_end
            continue
        position = word_start
        for chunk in chunks(text[word_start:word_end]):
            # A chunk that is itself too long, such as a word of a thousand letters, is a unit all the same: it holds
            # no border at which an entity could end.
            yield position, position + len(chunk)
            position += len(chunk)


def window_of(example: Example, span: Span) -> Example:
    """Return the post with a window of its text, without its gold entities and tokens."""
    text = example.text[span[0] : span[1]].rstrip()
    return example.model_copy(update={"text": text, "entities": None, "tokens": None})


def joined(example: Example, spans: Sequence[Span], predictions: Sequence[Prediction]) -> Prediction:
    """Return the prediction of a whole post.

    Entities of the overlaps are there twice. Of two that overlap, the longer one is kept, since the edge of a window
    may have cut the other; of two that are equally long, the one of the higher score.

    Args:
        example: Post.
        spans: Windows, of :func:`cut`.
        predictions: Prediction of each window.
    """
    entities = [
        entity.model_copy(update={"start": entity.start + start, "end": entity.end + start})
        for (start, _), prediction in zip(spans, predictions, strict=True)
        for entity in prediction.entities
    ]
    return Prediction(
        id=example.id,
        text=example.text,
        images=example.images,
        entities=tuple(_without_overlaps(entities, len(example.text))),
        rejected=_sum(prediction.rejected for prediction in predictions),
        windows=len(spans),
        meta=example.meta,
    )


def _without_overlaps(entities: Sequence[PredictedEntity], length: int) -> list[PredictedEntity]:
    taken = bytearray(length)
    kept = []
    for entity in sorted(entities, key=lambda each: (each.start - each.end, -each.score, each.start)):
        if not any(taken[entity.start : entity.end]):
            taken[entity.start : entity.end] = b"\x01" * (entity.end - entity.start)
            kept.append(entity)
    return sorted(kept, key=lambda each: each.start)


def _sum(counts: Iterator[Rejected]) -> Rejected:
    each = list(counts)
    return Rejected(
        malformed=sum(one.malformed for one in each),
        hallucinated=sum(one.hallucinated for one in each),
        unplaceable=sum(one.unplaceable for one in each),
    )
