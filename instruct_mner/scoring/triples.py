"""Scores of grounded entities: the GMNER triple of span, type and region, and its parts.

A region is right when gold has no box and the prediction says "not visible", or when gold has boxes and the
predicted box meets **any** of them, on the same picture, with an intersection over union of at least 0.5.
The paper writes "greater than 0.5"; the two differ only at exactly 0.5.

Source: Yu et al., Grounded Multimodal Named Entity Recognition on Social Media, ACL 2023, section 3.

Beware of the baseline: on the GMNER v2.0 test split 1049 of 2543 mentions have boxes. The right text with
"not visible" everywhere has the other 1494 triples right: F1 = 1494/2543 = 58.75 %.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from instruct_mner.errors import DataError
from instruct_mner.schema.records import Box, Entity, Example, Prediction
from instruct_mner.scoring.counts import Tally
from instruct_mner.scoring.pairing import pair_posts

IOU_THRESHOLD = 0.5
"""Least intersection over union of a right box; met when equal."""


def intersection_over_union(first: Box, second: Box) -> float:
    """Shared area over joint area, in 0..1; 0 on different pictures.

    Edges are coordinates, not pixels: no 1 is added to widths.
    """
    if first.image != second.image:
        return 0.0
    ax0, ay0, ax1, ay1 = first.box
    bx0, by0, bx1, by1 = second.box
    width = min(ax1, bx1) - max(ax0, bx0)
    height = min(ay1, by1) - max(ay0, by0)
    if width <= 0 or height <= 0:
        return 0.0
    shared = float(width * height)
    return shared / (first.area + second.area - shared)


def region_is_right(gold: Sequence[Box], predicted: Sequence[Box]) -> bool:
    """Return whether the predicted region is that of the gold; no boxes mean "not visible", on either side."""
    if not gold or not predicted:
        return not gold and not predicted
    return any(intersection_over_union(box, predicted[0]) >= IOU_THRESHOLD for box in gold)


@dataclass(frozen=True, eq=False)
class TripleScores:
    """Scores of grounded entities, with the counts of each post; places are matched by offset.

    Rejected items are false positives everywhere but in the two splits and in ``grounding``.

    Attributes:
        gmner: Span, type and region.
        visible: The triple where there is something to see: gold that has boxes, and, for precision,
            predictions that give a box, whatever gold says of them.
        invisible: The rest: gold without a box, and predictions that say "not visible". A right triple is
            in the same split on both sides, so ``visible`` and ``invisible`` add up to ``gmner``, less its
            rejected items, which claim neither.
        mner: Span and type.
        eeg: Span and region (entity extraction and grounding).
        grounding: Right regions given right text: of the predicted entities whose start and end are those
            of a gold entity, of whatever type, those with the right region. ``predicted`` and ``gold``
            both count the entities with the right span, so precision, recall and F1 are all this share.
    """

    gmner: Tally
    visible: Tally
    invisible: Tally
    mner: Tally
    eeg: Tally
    grounding: Tally


_NAMES = ("gmner", "visible", "invisible", "mner", "eeg", "grounding")


def why_not_grounded(gold: Sequence[Example], predicted: Sequence[Prediction]) -> str | None:
    """Return the reason why triples are not scored; ``None`` where they are.

    Entities whose boxes are ``None`` are one reason. Boxes most of which are shares of a picture, no pixels, are
    another. No entity on either side is the last: nothing tells then whether boxes were annotated at all.
    """
    if reason := _lacking_boxes(gold, predicted) or _boxes_of_shares(gold, predicted):
        return reason
    has_entities = any(post.gold for post in gold) or any(prediction.entities for prediction in predicted)
    return None if has_entities else "no entity is annotated, and none is predicted"


def _lacking_boxes(gold: Sequence[Example], predicted: Sequence[Prediction]) -> str | None:
    sides = (
        ("gold", (entity.boxes is None for post in gold for entity in post.gold)),
        ("predicted", (entity.boxes is None for prediction in predicted for entity in prediction.entities)),
    )
    reasons = []
    for side, entities in sides:
        lacking = Counter(entities)
        if lacking[True]:
            reasons.append(f"{lacking[True]} of {lacking.total()} {side} entities have no 'boxes'")
    return " and ".join(reasons) or None


def _boxes_of_shares(gold: Sequence[Example], predicted: Sequence[Prediction]) -> str | None:
    for side, posts in (("gold", gold), ("predicted", predicted)):
        boxes = [box.box for post in posts for entity in post.entities or () for box in entity.boxes or ()]
        # A model that answers in whole pixels may mean the first one.
        shares = [box for box in boxes if max(box) <= 1 and any(value % 1 for value in box)]
        if 2 * len(shares) > len(boxes):
            return (
                f"{len(shares)} of {len(boxes)} {side} boxes lie in 0..1, the first is {list(shares[0])}: boxes are "
                "pixels of the original picture; multiply them by its width and height"
            )
    return None


def _boxes(entity: Entity) -> tuple[Box, ...]:
    # Callers have made sure that boxes are annotated; () is "not visible".
    return entity.boxes or ()


def _count_post(post: Example, prediction: Prediction) -> list[tuple[int, int, int]]:
    """Correct, predicted and gold of one post, for each of ``_NAMES``."""
    gold_at = {(entity.start, entity.end): entity for entity in post.gold}
    correct = dict.fromkeys(_NAMES, 0)
    placed = 0
    for entity in prediction.entities:
        match = gold_at.get((entity.start, entity.end))
        if match is None:
            continue
        placed += 1
        typed = match.label == entity.label
        correct["mner"] += typed
        if region_is_right(_boxes(match), _boxes(entity)):
            correct["grounding"] += 1
            correct["eeg"] += 1
            correct["gmner"] += typed
            correct["visible" if _boxes(match) else "invisible"] += typed
    num_gold, num_predicted = len(post.gold), len(prediction.entities) + prediction.rejected.total
    seen = sum(bool(_boxes(entity)) for entity in post.gold)
    num_visible = sum(bool(_boxes(entity)) for entity in prediction.entities)
    sizes = {
        "gmner": (num_predicted, num_gold),
        "visible": (num_visible, seen),
        "invisible": (len(prediction.entities) - num_visible, num_gold - seen),
        "mner": (num_predicted, num_gold),
        "eeg": (num_predicted, num_gold),
        "grounding": (placed, placed),
    }
    return [(correct[name], *sizes[name]) for name in _NAMES]


def score_triples(gold: Sequence[Example], predicted: Sequence[Prediction]) -> TripleScores:
    """Score grounded predictions against gold whose boxes are annotated, posts matched by id.

    Raises:
        DataError: Gold and predictions are not of the same posts, an entity has no ``boxes``, or most
            boxes are no pixels.
    """
    pairs = pair_posts(gold, predicted)
    if reason := _lacking_boxes(gold, predicted):
        raise DataError(f"triples cannot be scored: {reason}; [] is for what is not visible")
    if reason := _boxes_of_shares(gold, predicted):
        raise DataError(f"triples cannot be scored: {reason}")
    numbers = array("q")
    for post, prediction in pairs:
        numbers.extend(number for part in _count_post(post, prediction) for number in part)
    counts = np.array(numbers, dtype=np.int64).reshape(-1, len(_NAMES), 3)
    columns = {name: counts[:, index].T for index, name in enumerate(_NAMES)}
    return TripleScores(**{name: Tally(*column) for name, column in columns.items()})
