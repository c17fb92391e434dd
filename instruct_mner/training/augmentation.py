"""Augmentation: posts are shown a little differently in every epoch.

Each is a pure function of seed, epoch and the post's id, and draws from numbers of its own: a run that was resumed
sees what it would have seen, and switching one on changes nothing about the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from pydantic import Field

from instruct_mner.errors import ConfigError, listing, suggest
from instruct_mner.schema.labels import Label, LabelSet
from instruct_mner.schema.record import Record
from instruct_mner.schema.records import Box, Example


class AugmentationSettings(Record):
    """What is changed, and how often; all of it is off by default.

    Attributes:
        drop_picture: Probability that a post is shown without its pictures and what is said of them.
        shuffle_labels: Probability that the types are listed in another order.
        rename_labels: Probability that each type that has ``label_names`` goes by one of them.
        label_names: Other names of types: ``PER: [person, people]``.
        sample_labels: Probability that only some of the types are asked for, one at least; entities of the others
            are then no part of the answer.
        jitter_boxes: Each side of a box moves by up to so much of the box's width or height.
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
    """A post as it is shown in one epoch, with the label set that is asked for.

    Args:
        example: An annotated post.
        labels: The types of the run.
        settings: What is changed.
        seed: Of the run.
        epoch: From 0.

    Returns:
        The arguments themselves where nothing is changed.
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
    """Every side moved by less than half of the box, so that none meets another; what leaves the picture is cut off."""
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
    # In the order of the alphabet: the order of the label set may have been shuffled.
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
    """The label set with all other names of its types in it, for checks that concern each name.

    Raises:
        ConfigError: Names are given to no type, or are no names of their own.
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
    """Names that are no labels, or that two types could go by at once."""
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
