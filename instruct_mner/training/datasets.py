"""Data of a run: read, checked for leaks, and stamped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from instruct_mner.data.broken_pictures import without_broken
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.leaks import Leak, guard
from instruct_mner.data.loading import load_split
from instruct_mner.models.manifest import DatasetStamp
from instruct_mner.schema.choices import MissingImage
from instruct_mner.training.config import DataSettings
from instruct_mner.training.trainable import untaught


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Data sets of a run.

    Attributes:
        train: Posts to train on.
        dev: Posts that choose the checkpoint; ``None`` without a dev set.
        leaks: Common posts of each of them and each declared evaluation split.
        leaked: Lines of ``leaks`` whose posts are trained on nevertheless.
        stamps: Identities of all data sets, for ``mner.json``.
    """

    train: Dataset
    dev: Dataset | None
    leaks: tuple[Leak, ...]
    leaked: tuple[str, ...]
    stamps: tuple[DatasetStamp, ...]

    def describe(self) -> Iterator[str]:
        """Iterate over the remarks for the user, a line each."""
        for stamp in self.stamps:
            if stamp.known is not None:
                yield f"known     {stamp.name} is {stamp.known}"
            if stamp.num_dropped:
                yield f"dropped   {stamp.num_dropped} posts of {stamp.role} that stand in an evaluation set"
        for leak in self.leaks:
            yield f"{'LEAKED' if str(leak) in self.leaked else 'leaks':<10}{leak}"
        for dataset in (self.train, self.dev):
            for note in () if dataset is None else dataset.notes:
                yield f"note      {note}"
        if self.dev is not None:
            learned = {example.text for example in self.train.examples}
            same = sum(example.text in learned for example in self.dev.examples)
            if same:
                yield f"note      {same} of {len(self.dev.examples)} posts of dev are in train: its score says little"
        for note in untaught(self.train, self.dev):
            yield f"note      {note}"
        if not self.leaks:
            yield "leaks     not looked for: data.evaluate_on names no split"


def load_sources(settings: DataSettings, *, shows_pictures: bool = True) -> Sources:
    """Read the splits of a config, and check them for leaks.

    Args:
        settings: Section ``data`` of the config.
        shows_pictures: False for a text model, which does not miss a picture that is not there.

    Raises:
        MnerError: A file cannot be used, has no usable post, or posts leak and leaks are refused.
    """
    roles: list[Literal["train", "dev"]] = ["train"]
    missing_image: MissingImage = settings.missing_image if shows_pictures else "keep"
    read = [_load(settings, settings.train, missing_image)]
    if settings.dev is not None:
        roles.append("dev")
        read.append(_load(settings, settings.dev, missing_image))
    # "keep": nothing is trained on here, and pictures that are not there cannot be compared.
    evaluated = [_load(settings, data, "keep") for data in settings.evaluate_on]
    guarded = guard(read, evaluated, settings.leaks)
    stamps = [
        stamp_of(role, after, num_dropped=len(before.examples) - len(after.examples))
        for role, before, after in zip(roles, read, guarded.datasets, strict=True)
    ]
    return Sources(
        train=guarded.datasets[0],
        dev=guarded.datasets[1] if settings.dev is not None else None,
        leaks=guarded.overlaps,
        leaked=guarded.leaked,
        stamps=(*stamps, *(stamp_of("evaluation", dataset) for dataset in evaluated)),
    )


def stamp_of(role: Literal["train", "dev", "evaluation"], dataset: Dataset, num_dropped: int = 0) -> DatasetStamp:
    """Return the identity of a split for ``mner.json``."""
    return DatasetStamp(
        role=role,
        name=dataset.name,
        format=dataset.format,
        sha256=dataset.sha256,
        num_posts=len(dataset.examples),
        known=dataset.known,
        file_sha256=dataset.file_sha256,
        content_sha256=dataset.content_sha256,
        text_sha256=dataset.text_sha256,
        num_dropped=num_dropped,
    )


def _load(settings: DataSettings, data: str, missing_image: MissingImage) -> Dataset:
    dataset = load_split(
        data,
        images=settings.images,
        decode=settings.decode,
        missing_image=missing_image,
        label_column=settings.label_column,
        xml=settings.xml,
    )
    return without_broken(dataset, missing_image)
