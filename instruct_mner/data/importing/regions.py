"""Boxes that were drawn in another tool, given to the mentions of posts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from instruct_mner.errors import DataError, shortened
from instruct_mner.images import image_size
from instruct_mner.schema.records import Box, Coordinates, Entity, Example

Size = tuple[int | float, int | float]
"""Width and height of a picture in pixels."""

Finder = Callable[[str], Path | None]
"""Function that finds the file of a picture that a post names; ``None`` where it is not there."""


@dataclass(frozen=True)
class Region:
    """A box on a picture.

    Attributes:
        box: The box in pixels.
        label: Type of the mention that it shows; ``None`` where it is not known.
        surface: The mention that it shows; ``None`` where it is not known.
        either: A mention or a type, in formats with one name for both.
    """

    box: Coordinates
    label: str | None = None
    surface: str | None = None
    either: str | None = None

    @property
    def name(self) -> str:
        """Name that the tool gives it."""
        return self.surface or self.either or self.label or ""


@dataclass
class PictureRegions:
    """The boxes of one picture.

    Attributes:
        size: Width and height on which the boxes were drawn; ``None`` where the file does not say them.
        regions: The boxes.
    """

    size: Size | None = None
    regions: list[Region] = field(default_factory=list)

    def add(self, region: Region, where: str) -> None:
        """Add a box.

        Raises:
            ValueError: It lies outside of the picture.
        """
        if self.size is not None and is_outside(region.box, self.size):
            raise ValueError(f"{where}: {_told_outside(region.box, 'its picture', self.size)}")
        self.regions.append(region)

    def check_picture(self, path: Path) -> None:
        """Compare the size, and the boxes, with the picture itself.

        Raises:
            ValueError: The boxes were drawn on a picture of another size, or one lies outside of the picture.
        """
        try:
            real = image_size(path)
        except DataError:
            return  # said where pictures are opened
        if self.size not in {None, real}:
            assert self.size is not None
            raise ValueError(
                f"boxes on {path.name} were drawn on {self.size[0]:g} x {self.size[1]:g} pixels, and it has "
                f"{real[0]} x {real[1]} when upright; draw them on this picture, or scale them to it"
            )
        for region in self.regions:
            if is_outside(region.box, real):
                raise ValueError(_told_outside(region.box, path.name, real))


def is_outside(box: Coordinates, size: Size) -> bool:
    """Return whether any part of a box lies outside of a picture of a size."""
    return box[2] > size[0] or box[3] > size[1]


def _told_outside(box: Coordinates, picture: str, size: Size) -> str:
    return f"box {list(box)} lies outside of {picture}, {size[0]:g} x {size[1]:g} pixels; mend the box, or take it out"


@dataclass
class Regions:
    """The boxes of a file, by the names of their pictures.

    Attributes:
        source: The file, for messages.
        of_picture: Boxes by the name of the picture as the file writes it.
        used: Names of pictures that a post has.
        num_given: Number of boxes that mentions got.
    """

    source: str
    of_picture: dict[str, PictureRegions]
    used: set[str] = field(default_factory=set)
    num_given: int = 0

    def __post_init__(self) -> None:
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        for name in self.of_picture:
            for short in {name, PurePosixPath(name).name, PurePosixPath(name).stem}:
                self._names[short].add(name)

    def _name_of(self, picture: str) -> str | None:
        path = PurePosixPath(picture)
        for short in (picture, path.name, path.stem):
            names = self._names.get(short, set())
            if len(names) > 1:
                raise ValueError(
                    f"picture {shortened(picture)!r} may be {' or '.join(sorted(names)[:3])} of {self.source}; rename"
                )
            if names:
                return next(iter(names))
        return None

    def given_to(self, example: Example, find: Finder = lambda _: None) -> Example:
        """Return a post whose mentions have the boxes of their pictures; those that a mention had stay.

        Args:
            example: The post.
            find: Function that finds its pictures; boxes are compared with those that are there.

        Raises:
            ValueError: A box belongs to no mention of the post, or to which one is not known; or boxes were drawn on a
                picture of another size, or lie outside of it.
        """
        boxes: defaultdict[int, list[Box]] = defaultdict(list)
        for image, picture in enumerate(example.images):
            name = self._name_of(picture)
            if name is None:
                continue
            self.used.add(name)
            drawn = self.of_picture[name]
            path = find(picture) if drawn.regions else None
            if path is not None:
                try:
                    drawn.check_picture(path)
                except ValueError as error:
                    raise ValueError(f"picture {shortened(name)!r} of {self.source}: {error}") from None
            for region in drawn.regions:
                for number in _owners(region, example.entities or ()):
                    boxes[number].append(Box(image=image, box=region.box))
        if not boxes:
            return example
        self.num_given += sum(map(len, boxes.values()))
        entities = tuple(
            entity.model_copy(update={"boxes": (*(entity.boxes or ()), *boxes[number])}) if number in boxes else entity
            for number, entity in enumerate(example.entities or ())
        )
        return example.model_copy(update={"entities": entities})

    def lines(self) -> list[str]:
        """Return the lines for the user."""
        lines = [f"{self.source}: {self.num_given} boxes were given to mentions; mentions without one stay as they are"]
        unused = [name for name in self.of_picture if name not in self.used]
        if unused:
            lines.append(f"{self.source}: no post has {len(unused)} of its {len(self.of_picture)} pictures, first "
                         f"{unused[0]}; their boxes are left out")  # fmt: skip
        return lines

    def problems(self) -> list[str]:
        """Return what keeps all of it from being used: pictures of which no post has any."""
        if self.used or not self.of_picture:
            return []
        first = next(iter(self.of_picture))
        return [f"{self.source}: no post has any of its {len(self.of_picture)} pictures, the first is {first}; do the "
                "posts name their pictures?"]  # fmt: skip


def _owners(region: Region, entities: tuple[Entity, ...]) -> list[int]:
    """Return the mentions that a box shows: all of its surface, or the only one of its type."""
    for surface in (region.surface, region.either):
        same = [
            number for number, entity in enumerate(entities) if surface and _folded(entity.text) == _folded(surface)
        ]
        if same:
            return same
    if region.surface is not None:
        raise ValueError(
            f"a box shows {region.surface!r}, which is no mention of the post; mend its text, or take it out"
        )
    label = region.label or region.either
    same = [number for number, entity in enumerate(entities) if entity.label == label]
    if len({_folded(entities[number].text) for number in same}) == 1:
        return same
    raise ValueError(
        f"to which of {len(same)} mentions a box called {region.name!r} belongs nobody can tell; write the mention "
        "into an attribute 'text' of the box (Pascal VOC: into its <name>)"
    )


def _folded(surface: str) -> str:
    return "".join(surface.split()).casefold()
