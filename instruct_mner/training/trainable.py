"""Refusal of posts that cannot be trained on or scored on, whatever the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.dataset import Dataset
from instruct_mner.errors import DataError, listing
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example


def labels_of(train: Dataset, *scored: Dataset | None, source: str | None = None) -> LabelSet:
    """Return the labels of the entities of a run's splits, in alphabetical order.

    Args:
        train: Posts to train on.
        scored: Posts that are scored, of which an answer must be able to say every type.
        source: File or folder that the user named, for the message, where ``train`` lies in another that is written.

    Raises:
        DataError: There is no entity to train on.
    """
    names = set(_counts(train))
    if not names:
        raise DataError(
            f"{source or train.path}: no post has an entity, so there is nothing to learn; check its 'entities'"
        )
    return LabelSet.of(sorted(names.union(*(_counts(each) for each in scored if each is not None))))


def untaught(train: Dataset, *scored: Dataset | None) -> Iterator[str]:
    """Iterate over the remarks on what is never learned: any entity, and types that are scored, a line a split."""
    known = _counts(train)
    if not known:
        yield f"{train.path}: no post has an entity, so that answers without any are all that is learned"
    for dataset in scored:
        counts = _counts(dataset) if dataset is not None else {}
        types = ", ".join(f"{name} ({number})" for name, number in sorted(counts.items()) if name not in known)
        if dataset is not None and types:
            yield f"{dataset.path}: types, with their mentions, that stand in no post of {train.path}: {types}"


def _counts(dataset: Dataset) -> Counter[str]:
    return Counter(entity.label for example in dataset.examples for entity in example.entities or ())


def check_trainable(examples: Sequence[Example], spec: AnswerSpec) -> None:
    """Refuse posts that cannot be trained on, all at once.

    Raises:
        DataError: Posts without annotation, with labels outside the label set, with more entities than an answer
            may hold, or with entities whose boxes are not annotated although boxes are asked for.
    """
    _refuse(examples, spec, "training data", boxes=spec.grounded)


def check_scored(examples: Sequence[Example], spec: AnswerSpec) -> None:
    """Refuse posts whose gold no answer can say, all at once; boxes that are not annotated are not scored.

    Raises:
        DataError: Posts without annotation, with labels outside the label set, or with more entities than an answer
            may hold.
    """
    _refuse(examples, spec, "dev data", boxes=False)


def _refuse(examples: Sequence[Example], spec: AnswerSpec, role: str, *, boxes: bool) -> None:
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
        if boxes and example.images and any(entity.boxes is None for entity in example.entities):
            problems.append(
                f"post {example.id!r} has entities without 'boxes': annotate them ([]: not visible), or set "
                "answer.grounded: false"
            )
    if problems:
        raise DataError(f"{len(problems)} problem(s) in the {role}:\n{listing(problems)}")
