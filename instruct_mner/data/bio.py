"""BIO tags to spans.

Two readings of a tag sequence are in use, and they give different gold::

    O  I-LOC  B-PER  I-PER  I-LOC
       tolerant: LOC   PER..... LOC      an I- that continues nothing opens an entity
       strict:         PER.....          an I- that continues nothing belongs to no entity
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from instruct_mner.data.tag_schemes import to_bio
from instruct_mner.schema.choices import Decode
from instruct_mner.schema.records import Entity

Span = tuple[int, int, str]

Joiner = str | Sequence[str]
"""The text between tokens: one for all, or one for each gap, of which there is one less than tokens."""


def decode_spans(tags: Sequence[str], decode: Decode = "tolerant") -> list[Span]:
    """Return the token spans of a tag sequence.

    Args:
        tags: Tags of any scheme of ``tag_schemes``, one a token.
        decode: ``tolerant``: an ``I-`` after ``O``, or of another type than the tag before it, opens an entity; the
            reading of the literature. ``strict``: IOB2, only ``B-`` opens one.

    Returns:
        ``(first token, one past the last token, label)`` in text order.

    Source: the conlleval script of CoNLL-2000 (https://www.clips.uantwerpen.be/conll2000/chunking/conlleval.txt) for
    ``tolerant``; seqeval's ``mode='strict'`` with ``IOB2`` (https://github.com/chakki-works/seqeval) for ``strict``.
    """
    spans: list[Span] = []
    start, label = 0, ""
    for index, tag in enumerate([*to_bio(tags), "O"]):
        prefix, _, this = tag.partition("-")
        if label and prefix == "I" and this == label:
            continue
        if label:
            spans.append((start, index, label))
        opens = prefix == "B" or (prefix == "I" and decode == "tolerant")
        start, label = index, this if opens else ""
    return spans


def join_tokens(tokens: Sequence[str], spans: Iterable[Span], joiner: Joiner = " ") -> tuple[str, list[Entity]]:
    """Return the text of a pre-tokenised post, and its token spans as entities of the text.

    Args:
        tokens: The tokens.
        spans: ``(first token, one past the last token, label)``.
        joiner: The text between two tokens.
    """
    text = _join(tokens, joiner)
    bounds = token_bounds(tokens, joiner)
    entities = []
    for first, last, label in spans:
        start, end = bounds[first][0], bounds[last - 1][1]
        entities.append(Entity(start=start, end=end, text=text[start:end], label=label))
    return text, entities


def _join(tokens: Sequence[str], joiner: Joiner) -> str:
    if isinstance(joiner, str):
        return joiner.join(tokens)
    return "".join(token + gap for token, gap in zip(tokens, gaps_after(tokens, joiner), strict=True))


def gaps_after(tokens: Sequence[str], joiner: Joiner) -> Sequence[str]:
    """Return the text behind each token, which is none behind the last; of no tokens, nothing."""
    gaps = (joiner,) * (len(tokens) - 1) if isinstance(joiner, str) else joiner
    return (*gaps, "") if tokens else ()


def token_bounds(tokens: Sequence[str], joiner: Joiner = " ") -> list[tuple[int, int]]:
    """Return the first and one past the last character of each token in the joined text."""
    bounds = []
    start = 0
    for token, gap in zip(tokens, gaps_after(tokens, joiner), strict=True):
        bounds.append((start, start + len(token)))
        start += len(token) + len(gap)
    return bounds
