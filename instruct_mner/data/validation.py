"""Counts of a data set, and checks of its pictures and boxes."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from instruct_mner.data.broken_pictures import PictureChecks, look_at
from instruct_mner.data.checks import GoldChecks, check_gold
from instruct_mner.data.dataset import Dataset, Reading
from instruct_mner.data.loading import read
from instruct_mner.errors import DataError
from instruct_mner.images import image_size
from instruct_mner.schema.choices import Decode, LabelColumn, MissingImage
from instruct_mner.schema.packed import pack
from instruct_mner.schema.records import Example

Track = Callable[[Sequence[Example]], Iterable[Example]]
"""Passes posts through, to show how far the work is."""


@dataclass(frozen=True)
class Counts:
    """The counts of one split, of the posts that could be read, as annotated.

    Attributes:
        name: Folder and split.
        format: Format of the split.
        path: File of the split.
        sha256: Hash of the file.
        known: Name of the published set that it is, told by hash.
        num_posts: Posts.
        num_unannotated: Posts without ``entities``.
        num_entities: Entities by decoding of BIO tags, ``tolerant`` and ``strict``; equal without tags.
        num_by_label: Entities by type, in the decoding that was asked for.
        num_with_pictures: Posts that name a picture.
        num_missing_pictures: Pictures that are not there.
        num_posts_lacking: Posts that name one of them.
        num_unsayable: Entities that no answer can say.
        notes: Further lines for the user: what was left out, types that differ in case alone.
        num_groundable: Entities with at least one box; ``None`` where no boxes are annotated.
    """

    name: str
    format: str
    path: str
    sha256: str
    known: str | None
    num_posts: int
    num_unannotated: int
    num_entities: dict[str, int]
    num_by_label: dict[str, int]
    num_with_pictures: int
    num_missing_pictures: int
    num_posts_lacking: int
    num_groundable: int | None
    num_unsayable: int = 0
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the counts as plain values, for JSON."""
        return asdict(self)


def survey(
    data: Iterable[str],
    *,
    images: Path | None = None,
    decode: Decode = "tolerant",
    missing_image: MissingImage = "error",
    label_column: LabelColumn = "fine",
    xml: Path | None = None,
    track: Track = iter,
) -> tuple[list[Counts], list[str]]:
    """Count every split of every data set, open every picture, and collect the problems.

    Args:
        data: Paths or ``format:path``.
        images: Folder of the pictures.
        decode: Decoding of BIO tags to entities.
        missing_image: ``error`` where pictures that are missing are a problem.
        label_column: Column of FMNERG that holds the labels.
        xml: Folder of the boxes of GMNER and FMNERG.
        track: Shows how far it is.

    Returns:
        The counts, a split each, and the problems, each with its place.

    Raises:
        ConfigError: An unknown format, or no such folder of pictures or boxes.
    """
    counts: list[Counts] = []
    problems: list[str] = []
    for source in data:
        try:
            readings = read(source, images=images, decode=decode, label_column=label_column, xml=xml)
        except DataError as error:
            problems.append(str(error))
            continue
        for reading in readings.values():
            checks = check_gold(reading.dataset)
            problems += [*reading.problems, *checks.problems]
            problems += [checks.unsayable] if checks.unsayable is not None else []
            report = reading.dataset.missing_report() if missing_image == "error" else None
            problems += [report] if report else []
            pictures = PictureChecks()
            problems += check_pictures(reading.dataset, missing_image, pictures, track)
            counted = count(reading, checks)
            notes = pictures.notes(reading.dataset.path, missing_image)
            counts.append(replace(counted, notes=(*counted.notes, *notes)))
    return counts, problems


def count(reading: Reading, checks: GoldChecks | None = None) -> Counts:
    """Count one split.

    Args:
        reading: The split.
        checks: Result of ``check_gold``, where it is there already.
    """
    checks = check_gold(reading.dataset) if checks is None else checks
    dataset = reading.dataset
    missing = set(dataset.missing_images)
    by_label: Counter[str] = Counter()
    num = Counter(dict.fromkeys(("entities", "boxed", "groundable", "unannotated", "with_pictures", "lacking"), 0))
    for example in dataset.examples:
        num["unannotated"] += example.entities is None
        num["with_pictures"] += bool(example.images)
        num["lacking"] += not missing.isdisjoint(example.images)
        for entity in example.entities or ():
            by_label[entity.label] += 1
            num["boxed"] += entity.boxes is not None
            num["groundable"] += bool(entity.boxes)
    num["entities"] = by_label.total()
    return Counts(
        name=dataset.name,
        format=dataset.format,
        path=str(dataset.path),
        sha256=dataset.sha256,
        known=dataset.known,
        num_posts=len(dataset.examples),
        num_unannotated=num["unannotated"],
        num_entities={how: reading.num_entities.get(how, num["entities"]) for how in ("tolerant", "strict")},
        num_by_label={label: by_label[label] for label in sorted(by_label)},
        num_with_pictures=num["with_pictures"],
        num_missing_pictures=len(missing),
        num_posts_lacking=num["lacking"],
        num_groundable=num["groundable"] if num["boxed"] else None,
        num_unsayable=checks.num_unsayable,
        notes=(*dataset.notes, *checks.notes),
    )


def table(counts: Sequence[Counts], decode: Decode) -> list[str]:
    """Return the counts as lines of at most 80 columns where names allow it: of each split name, numbers and types."""
    rows: list[tuple[str, ...]] = [("posts", "with picture", "missing", "tolerant", "strict", "groundable")]
    for split in counts:
        groundable = "-" if split.num_groundable is None else str(split.num_groundable)
        numbers = (split.num_posts, split.num_with_pictures, split.num_missing_pictures)
        rows.append((*map(str, (*numbers, split.num_entities["tolerant"], split.num_entities["strict"])), groundable))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *aligned = (
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )
    lines = ["split, format, sha256", head]
    for split, line in zip(counts, aligned, strict=True):
        lines += [f"{split.name}, {split.format}, {split.sha256[:12]}", line]
        lines += textwrap.wrap(
            f"entities by type ({decode}): {_types(split)}", 80, initial_indent="  ", subsequent_indent="    "
        )
    return lines


def known_sets(counts: Sequence[Counts]) -> list[str]:
    """Return a line for each split that is a published one, whatever its folder is called."""
    return [f"{split.name} is {split.known}" for split in counts if split.known is not None]


def _types(split: Counts) -> str:
    types = ", ".join(f"{label} {number}" for label, number in split.num_by_label.items()) or "none"
    return f"{types}; {split.num_unannotated} posts not annotated" if split.num_unannotated else types


def check_pictures(
    dataset: Dataset, missing_image: MissingImage, checks: PictureChecks, track: Track = iter
) -> Iterator[str]:
    """Open every picture that is there, and yield the problems of it and of the boxes on it.

    Args:
        dataset: The split.
        missing_image: ``error`` where pictures that cannot be opened are a problem.
        checks: Results, which are added to.
        track: Wraps the posts, to show how far it is.
    """
    missing = set(dataset.missing_images)
    size_of: dict[Path, tuple[int, int] | None] = {}
    # Posts all of whose pictures are missing cost nothing and need no progress bar.
    for example in track(pack(example for example in dataset.examples if not missing.issuperset(example.images))):
        for index, path in enumerate(dataset.picture_paths(example)):
            if example.images[index] in missing:
                continue
            if path not in size_of:
                result = look_at(path)
                checks.add(example.images[index], example.id, result)
                size_of[path] = None if isinstance(result, str) else image_size(path)
                if isinstance(result, str) and missing_image == "error":
                    yield f"{dataset.path}: post {example.id!r}: {result}"
            size = size_of[path]
            if size is not None:
                yield from _outside(dataset, example, index, size)


def _outside(dataset: Dataset, example: Example, image: int, size: tuple[int, int]) -> Iterator[str]:
    for entity in example.entities or ():
        for box in entity.boxes or ():
            if box.image == image and (box.box[2] > size[0] or box.box[3] > size[1]):
                yield (
                    f"{dataset.path}: post {example.id!r}: box {list(box.box)} of {entity.text!r} lies "
                    f"outside of {example.images[image]}, {size[0]} x {size[1]} pixels when upright"
                )
