"""Augmentation: small changes of posts and label sets from epoch to epoch.

Each change is a pure function of seed, epoch and the post's id, with random numbers of its own: a resumed run sees the
same posts, and switching one change on does not alter the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from pydantic import Field

from instruct_mner.errors import ConfigError, listing, suggest
from instruct_mner.schema.labels import Label, LabelSet
from instruct_mner.schema.records import Box, Example
from instruct_mner.schema.settings import Settings


class AugmentationSettings(Settings):
    """Kinds and probabilities of changes; all are off by default.

    Attributes:
        drop_picture: Probability that a post loses its pictures and their captions, tags and OCR.
        shuffle_labels: Probability that the types are listed in another order.
        rename_labels: Probability that a type with ``label_names`` gets one of them.
        label_names: Other names of types: ``PER: [person, people]``.
        sample_labels: Probability that the label set is a sample of the types, at least one; entities of the other
            types are then left out of the answer.
        jitter_boxes: Largest move of each side of a box, as a share of the box's width or height.
    """

    drop_picture: float = Field(default=0.0, ge=0, le=1)
    shuffle_labels: float = Field(default=0.0, ge=0, le=1)
    rename_labels: float = Field(default=0.0, ge=0, le=1)
    label_names: dict[str, list[str]] = Field(default_factory=dict)
    sample_labels: float = Field(default=0.0, ge=0, le=1)
    jitter_boxes: float = Field(default=0.0, ge=0, lt=0.5)


def augment(
    example: Example, labels: LabelSet, settings: AugmentationSettings, seed: int, epoch: int
) -> tuple[Example, LabelSet]:
    """Return a post with its changes of one epoch, and the label set of its prompt.

    Args:
        example: Annotated post.
        labels: Label set of the run.
        settings: Kinds and probabilities of changes.
        seed: Seed of the run.
        epoch: Epoch, from 0.

    Returns:
        The arguments themselves where nothing changes.
    """

    def chance(name: str) -> Random:
        return Random(f"{seed}/{epoch}/{example.id}/{name}")  # noqa: S311

    def happens(name: str, probability: float) -> bool:
        return chance(name).random() < probability

    if happens("drop_picture", settings.drop_picture):
        example = example.without_images().model_copy(update={"context": None})
    if settings.jitter_boxes:
        example = _jittered(example, settings.jitter_boxes, chance("boxes"))
    if happens("sample_labels", settings.sample_labels):
        labels = _sampled(labels, chance("labels"))
        kept = tuple(entity for entity in example.gold if entity.label in labels)
        example = example.model_copy(update={"entities": kept})
    if happens("shuffle_labels", settings.shuffle_labels):
        order = list(labels.labels)
        chance("order").shuffle(order)
        labels = LabelSet(labels=tuple(order))
    if settings.rename_labels:
        example, labels = _renamed(example, labels, settings, chance("names"))
    return example, labels


def _jittered(example: Example, size: float, chance: Random) -> Example:
    entities = tuple(
        entity.model_copy(update={"boxes": tuple(_moved(box, size, chance) for box in entity.boxes)})
        if entity.boxes
        else entity
        for entity in example.gold
    )
    return example.model_copy(update={"entities": entities})


def _moved(box: Box, size: float, chance: Random) -> Box:
    """Return a box with every side moved by less than half of it, so that no two meet; it is cut at the edges 0."""
    x0, y0, x1, y1 = box.box
    sides = (x1 - x0, y1 - y0, x1 - x0, y1 - y0)
    moved = [max(0.0, end + side * chance.uniform(-size, size)) for end, side in zip(box.box, sides, strict=True)]
    return Box(image=box.image, box=(moved[0], moved[1], moved[2], moved[3]))


def _sampled(labels: LabelSet, chance: Random) -> LabelSet:
    number = chance.randint(1, len(labels))
    chosen = sorted(chance.sample(range(len(labels)), number))
    return LabelSet(labels=tuple(labels.labels[index] for index in chosen))


def _renamed(
    example: Example, labels: LabelSet, settings: AugmentationSettings, chance: Random
) -> tuple[Example, LabelSet]:
    names: dict[str, str] = {}
    # In alphabetical order: the order of the label set may have been shuffled.
    for name in sorted(labels.names):
        others = settings.label_names.get(name)
        if others and chance.random() < settings.rename_labels:
            names[name] = chance.choice(others)
    if not names:
        return example, labels
    renamed = tuple(label.model_copy(update={"name": names.get(label.name, label.name)}) for label in labels.labels)
    entities = tuple(
        entity.model_copy(update={"label": names.get(entity.label, entity.label)}) for entity in example.gold
    )
    return example.model_copy(update={"entities": entities}), LabelSet(labels=renamed)


def all_names(labels: LabelSet, settings: AugmentationSettings) -> LabelSet:
    """Return the label set with all other names of its types, for checks of each name.

    Args:
        labels: Label set of the run.
        settings: Settings with the other names.

    Raises:
        ConfigError: A name belongs to no type of the label set, is no legal name, or is not unique.
    """
    problems = [
        f"augmentation.label_names: '{name}' is not in the label set{suggest(name, labels.names)}"
        for name in settings.label_names
        if name not in labels
    ]
    if settings.rename_labels and not any(settings.label_names.values()):
        problems.append("augmentation.rename_labels: there are no augmentation.label_names to rename to")
    problems += _clashes(labels.names, settings.label_names)
    if problems:
        raise ConfigError(f"{len(problems)} setting(s) to mend:\n{listing(problems)}")
    others = (Label(name=other) for names in settings.label_names.values() for other in names)
    return LabelSet(labels=(*labels.labels, *others))


def _clashes(names: Sequence[str], others: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for each name that is no legal label, or that two types could have."""
    taken = dict.fromkeys(names, "a type of its own")
    problems = []
    for label, alternatives in others.items():
        for other in alternatives:
            try:
                Label(name=other)
            except ValueError:
                problems.append(f"augmentation.label_names.{label}: {other!r} cannot be the name of a type")
            if other in taken:
                problems.append(f"augmentation.label_names.{label}: '{other}' is {taken[other]} already")
            taken.setdefault(other, f"a name of '{label}'")
    return problems
