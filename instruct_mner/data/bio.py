"""BIO tags to spans and back.

Two readings of a tag sequence are in use, and they give different gold::

    O  I-LOC  B-PER  I-PER  I-LOC
       tolerant: LOC   PER..... LOC      an I- that continues nothing opens an entity
       strict:         PER.....          an I- that continues nothing belongs to no entity
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from instruct_mner.errors import DataError
from instruct_mner.schema.choices import Decode
from instruct_mner.schema.labels import why_no_label
from instruct_mner.schema.records import Entity

Span = tuple[int, int, str]

_TAG = re.compile(r"O|[BI]-\S(?:.*\S)?")


def is_tag(tag: str) -> bool:
    """Whether it is ``O``, ``B-X`` or ``I-X``, with a type that an answer can hold."""
    return _TAG.fullmatch(tag) is not None and (tag == "O" or why_no_label(tag[2:]) is None)


def decode_spans(tags: Sequence[str], decode: Decode = "tolerant") -> list[Span]:
    """Token spans of a tag sequence.

    Args:
        tags: ``O``, ``B-X`` or ``I-X``, one a token.
        decode: ``tolerant``: an ``I-`` after ``O``, or of another type than what stands before it, opens an
            entity; the reading of the literature. ``strict``: IOB2, only ``B-`` opens one.

    Returns:
        ``(first token, one past the last token, label)`` in text order.

    Source: the conlleval script of CoNLL-2000 for ``tolerant``; seqeval's ``mode='strict'`` with ``IOB2``
    for ``strict``.
    """
    spans: list[Span] = []
    start, label = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        prefix, _, this = tag.partition("-")
        if label and prefix == "I" and this == label:
            continue
        if label:
            spans.append((start, index, label))
        opens = prefix == "B" or (prefix == "I" and decode == "tolerant")
        start, label = index, this if opens else ""
    return spans


def join_tokens(tokens: Sequence[str], spans: Iterable[Span], joiner: str = " ") -> tuple[str, list[Entity]]:
    """The text of a pre-tokenised post, and its token spans as entities of the text.

    Args:
        tokens: The tokens.
        spans: ``(first token, one past the last token, label)``.
        joiner: What stands between two tokens of the text.
    """
    text = joiner.join(tokens)
    bounds = token_bounds(tokens, joiner)
    entities = []
    for first, last, label in spans:
        start, end = bounds[first][0], bounds[last - 1][1]
        entities.append(Entity(start=start, end=end, text=text[start:end], label=label))
    return text, entities


def token_bounds(tokens: Sequence[str], joiner: str = " ") -> list[tuple[int, int]]:
    """First and one past the last character of each token in the joined text."""
    bounds = []
    start = 0
    for token in tokens:
        bounds.append((start, start + len(token)))
        start += len(token) + len(joiner)
    return bounds


def encode_tags(tokens: Sequence[str], entities: Iterable[Entity], joiner: str = " ") -> list[str]:
    """IOB2 tags of entities, the inverse of decoding: one tag a token.

    Args:
        tokens: The tokens of the post.
        entities: Flat entities whose offsets are in the joined text.
        joiner: What stands between two tokens of the text.

    Raises:
        DataError: An entity begins or ends inside of a token.
    """
    bounds = token_bounds(tokens, joiner)
    starts = {start: index for index, (start, _) in enumerate(bounds)}
    ends = {end: index for index, (_, end) in enumerate(bounds)}
    tags = ["O"] * len(tokens)
    for entity in entities:
        first, last = starts.get(entity.start), ends.get(entity.end)
        if first is None or last is None:
            raise DataError(
                f"entity {entity.text!r} at {entity.start}:{entity.end} begins or ends inside of a token, "
                "so BIO tags cannot say it; score it by characters"
            )
        tags[first : last + 1] = [f"B-{entity.label}", *[f"I-{entity.label}"] * (last - first)]
    return tags
