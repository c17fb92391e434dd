"""Refusal of posts that cannot be trained on, whatever the model."""

from __future__ import annotations

from collections.abc import Sequence

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.dataset import Dataset
from instruct_mner.errors import DataError, listing
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example


def labels_of(train: Dataset) -> LabelSet:
    """Return the labels of the entities of a split, in alphabetical order.

    Raises:
        DataError: There is no entity.
    """
    names = sorted({entity.label for example in train.examples for entity in example.entities or ()})
    if not names:
        raise DataError(f"{train.path}: no post has an entity, so there is nothing to learn; check its 'entities'")
    return LabelSet.of(names)


def check_trainable(examples: Sequence[Example], spec: AnswerSpec) -> None:
    """Refuse posts that cannot be trained on, all at once.

    Raises:
        DataError: Posts without annotation, with labels outside the label set, with more entities than an answer
            may hold, or with entities whose boxes are not annotated although boxes are asked for.
    """
    problems = []
    for example in examples:
        if example.entities is None:
            problems.append(f"post {example.id!r} is not annotated: it has no 'entities' ([]: there is none)")
            continue
        unknown = sorted({entity.label for entity in example.entities} - set(spec.labels.names))
        if unknown:
            problems.append(
                f"post {example.id!r} has label(s) outside the label set: {', '.join(unknown)}; add them to labels"
            )
        if len(example.entities) > spec.max_entities:
            problems.append(
                f"post {example.id!r} has {len(example.entities)} entities; raise answer.max_entities, which is "
                f"{spec.max_entities}"
            )
        if spec.grounded and example.images and any(entity.boxes is None for entity in example.entities):
            problems.append(
                f"post {example.id!r} has entities without 'boxes': annotate them ([]: not visible), or set "
                "answer.grounded: false"
            )
    if problems:
        raise DataError(f"{len(problems)} problem(s) in the training data:\n{listing(problems)}")
