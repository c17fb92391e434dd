"""Scores of BIO tag sequences, for comparison with seqeval: the same numbers, decoded all at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, count

import numpy as np

from instruct_mner.errors import DataError, listing
from instruct_mner.schema.choices import Decode
from instruct_mner.scoring.counts import IntArray, Items
from instruct_mner.scoring.spans import SpanScores, span_scores

_OUTSIDE, _BEGIN, _INSIDE = range(3)
_PREFIXES = {"B": _BEGIN, "I": _INSIDE}


def _read_tags(tags: Sequence[str]) -> tuple[IntArray, list[str]]:
    """Split distinct tags into prefix codes and types (empty for ``O``)."""
    prefixes, kinds, wrong = [], [], []
    for tag in tags:
        prefix, dash, kind = tag.partition("-")
        if tag == "O":
            prefixes.append(_OUTSIDE)
        elif prefix in _PREFIXES and dash and kind:
            prefixes.append(_PREFIXES[prefix])
        else:
            wrong.append(repr(tag))
        kinds.append(kind)
    if wrong:
        raise DataError(f"tag(s) that are not O, B-TYPE or I-TYPE:\n{listing(wrong)}")
    return np.array(prefixes, dtype=np.int64), kinds


def _decode(prefix: IntArray, kind: IntArray, ends: IntArray, decode: Decode) -> Items:
    """Return the entities of all sentences, laid end to end.

    Args:
        prefix: ``(tokens,)``, codes of the prefixes.
        kind: ``(tokens,)``, indices of the types; that of ``O`` is of no other tag.
        ends: ``(sentences,)``, one past the last token of each sentence.
        decode: Tolerant: an ``I-`` that continues nothing opens an entity. Strict (IOB2): it, and the run
            that it would open, is outside.
    """
    num_tokens = len(prefix)
    continues = prefix == _INSIDE
    continues[1:] &= kind[1:] == kind[:-1]
    continues[:1] = False
    continues[ends[ends < num_tokens]] = False  # where the next sentence begins
    heads = np.flatnonzero(~continues)
    stops = np.append(heads, num_tokens)[1:]
    opens = prefix[heads] == _BEGIN if decode == "strict" else prefix[heads] != _OUTSIDE
    starts, stops = heads[opens], stops[opens]
    return Items(
        post=np.searchsorted(ends, starts, side="right"),
        key=starts * (num_tokens + 1) + stops,
        label=kind[starts],
    )


def score_tags(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], decode: Decode = "tolerant"
) -> SpanScores:
    """Score BIO tags, a sequence a sentence; equal to seqeval on the same input.

    Types stand in sorted order; ``O``, ``B-TYPE`` and ``I-TYPE`` are the tags.

    Source: seqeval 1.2.2; tolerant is its default mode (conlleval's), strict its ``mode='strict'`` with
    ``scheme=IOB2``.

    Raises:
        DataError: Sequences differ in number or length, or a tag is none of the three.
    """
    if len(gold) != len(predicted):
        raise DataError(f"{len(gold)} gold tag sequences, but {len(predicted)} predicted ones")
    lengths = np.fromiter(map(len, gold), dtype=np.int64, count=len(gold))
    said_lengths = np.fromiter(map(len, predicted), dtype=np.int64, count=len(gold))
    if differ := np.flatnonzero(lengths != said_lengths).tolist():
        lines = [f"sequence {i}: {lengths[i]} gold tags, {said_lengths[i]} predicted" for i in differ]
        raise DataError(f"tag sequences differ in length:\n{listing(lines)}")

    # Tags are numbered as they come: one pass over the tokens instead of two.
    number: defaultdict[str, int] = defaultdict(count().__next__)
    num_tokens = int(lengths.sum())
    gold_ids, said_ids = (
        np.fromiter(map(number.__getitem__, chain.from_iterable(side)), dtype=np.int64, count=num_tokens)
        for side in (gold, predicted)
    )
    prefix_of_tag, kinds = _read_tags(list(number))
    labels, kind_of_tag = np.unique(np.array(kinds, dtype=np.str_), return_inverse=True)

    def items(ids: IntArray) -> Items:
        return _decode(prefix_of_tag[ids], kind_of_tag[ids], lengths.cumsum(), decode)

    return span_scores(
        items(gold_ids),
        items(said_ids),
        ids=tuple(map(str, range(len(gold)))),
        labels=tuple(labels.tolist()),
    )
