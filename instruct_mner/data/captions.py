r"""Ready-made captions of pictures, put into the context of posts.

A file is JSON, as CATR's, or lines, as BLIP-2's come with PGIM (a space and a colon after the name)::

    {"15254.jpg": "A man and a woman are walking through a park."}

    108911.jpg :the chicago bears and green bay packers are playing in the nfl
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.lenient import loads
from instruct_mner.errors import DataError, listing
from instruct_mner.files import read_lines
from instruct_mner.schema.records import Context, Example

_SEPARATOR = " :"
_OBJECT = "one object of picture names and their captions"


@dataclass(frozen=True)
class CaptionCounts:
    """Counts of the captions of a data set.

    Attributes:
        num_captioned: Posts that got one.
        num_replaced: Posts among them that had another caption before.
        num_without: Posts with pictures, none of which has a caption in the file.
        num_without_pictures: Posts without pictures.
    """

    num_captioned: int
    num_replaced: int
    num_without: int
    num_without_pictures: int

    def __str__(self) -> str:
        """Return the counts in one line."""
        return (
            f"{self.num_captioned} posts got a caption ({self.num_replaced} had another), {self.num_without} have "
            f"pictures without one, {self.num_without_pictures} have no picture"
        )


def read_captions(path: Path) -> dict[str, str]:
    """Read captions by the name of their picture; empty ones are left out.

    Raises:
        DataError: The file cannot be read, or holds something else.
    """
    captions = _from_json(path) if path.suffix == ".json" else _from_lines(path)
    return {name: caption.strip() for name, caption in captions.items() if caption.strip()}


def _from_json(path: Path) -> dict[str, str]:
    try:
        captions = loads("\n".join(read_lines(path)))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}; expected {_OBJECT}") from None
    if not isinstance(captions, dict) or not all(isinstance(caption, str) for caption in captions.values()):
        raise DataError(f"{path}: expected {_OBJECT}")
    return captions


def _from_lines(path: Path) -> dict[str, str]:
    captions: dict[str, str] = {}
    problems = []
    for number, line in enumerate(read_lines(path), start=1):
        name, separator, caption = line.partition(_SEPARATOR)
        if not line.strip(" "):
            continue
        if not separator or not name:
            problems.append(f"{path}:{number}: expected NAME{_SEPARATOR}CAPTION, found {line[:40]!r}")
        elif captions.setdefault(name, caption) != caption:
            problems.append(f"{path}:{number}: {name} has another caption in a line above; keep one of them")
    if problems:
        raise DataError(f"{path} cannot be used, {len(problems)} problem(s):\n{listing(problems)}")
    return captions


def add_captions(dataset: Dataset, captions: Mapping[str, str]) -> tuple[Dataset, CaptionCounts]:
    """Put captions into ``Example.context.caption``, those of several pictures joined with a space.

    Args:
        dataset: The posts.
        captions: Captions by the file name of the picture, without folders.
    """
    num_captioned = num_replaced = num_without_pictures = 0
    examples: list[Example] = []
    for example in dataset.examples:
        own = [captions[name] for image in example.images if (name := PurePosixPath(image).name) in captions]
        context = example.context or Context()
        num_without_pictures += not example.images
        if own:
            caption = " ".join(own)
            num_captioned += 1
            num_replaced += context.caption not in {None, caption}
            context = context.model_copy(update={"caption": caption})
        examples.append(example.model_copy(update={"context": context}) if own else example)
    counts = CaptionCounts(
        num_captioned=num_captioned,
        num_replaced=num_replaced,
        num_without=len(examples) - num_captioned - num_without_pictures,
        num_without_pictures=num_without_pictures,
    )
    return replace(dataset, examples=tuple(examples)), counts
