r"""JSONL, the native format: one post a line, the fields of ``Example``.

A raw row (one line; pictures lie relative to the folder of the file)::

    {"id": "575705", "text": "RT @ PSDSecondary : Webber MS welcomes Mr", "images": ["pictures/575705.jpg"],
     "entities": [{"start": 20, "end": 29, "text": "Webber MS", "label": "PER",
                   "boxes": [{"image": 0, "box": [132, 22, 500, 706]}]}]}

Only ``id`` and ``text`` are asked for. A field that is left out is not annotated; ``[]`` is annotated as
empty.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from instruct_mner.data.dataset import Dataset, Reading, ReadOptions, dataset_name, missing_pictures, picture_folder
from instruct_mner.errors import suggest
from instruct_mner.files import decode_lines, read_bytes, replacing
from instruct_mner.offsets import Segmentation
from instruct_mner.records import Box, Context, Entity, Example

_RECORD_OF_FIELD: dict[str, type[BaseModel]] = {"entities": Entity, "boxes": Box, "context": Context}


def read(path: Path, options: ReadOptions) -> Reading:
    """Reads one file; see ``Reader``. Spans are stored as such, so ``decode`` has nothing to choose."""
    content = read_bytes(path)
    lines, problems = decode_lines(content, path)
    examples: list[Example] = []
    line_of_id: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip(" "):
            continue
        try:
            example = Example.model_validate_json(line)
        except ValidationError as error:
            problems += [f"{path}:{number}: {reason}" for reason in reasons(error)]
            continue
        if line_of_id.setdefault(example.id, number) != number:
            problems.append(f"{path}:{number}: id {example.id!r} stands already in line {line_of_id[example.id]}")
            continue
        examples.append(example)
    if not examples and not problems:
        problems.append(f"{path}:1: the file holds no post; expected one JSON object a line")
    root = path.parent if options.images is None else picture_folder(path.parent, options.images)
    dataset = Dataset(
        name=dataset_name(path.parent, path.stem),
        format="jsonl",
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=tuple(examples),
        image_root=root,
        missing_images=missing_pictures(examples, root),
        segmentation=_segmentation(examples),
    )
    return Reading(dataset, tuple(problems))


def _segmentation(examples: Sequence[Example]) -> Segmentation:
    """``characters`` where the text of every post is its tokens joined with nothing, as in a CMNER set converted."""
    tokenised = [example for example in examples if example.tokens is not None and len(example.tokens) > 1]
    joined = all("".join(example.tokens or ()) == example.text for example in tokenised)
    return "characters" if tokenised and joined else "words"


def reasons(error: ValidationError) -> list[str]:
    """What pydantic found wrong in a row, one line each: ``entities.0.end: reason``."""
    return [_reason(details) for details in error.errors(include_url=False)]


def _reason(details: ErrorDetails) -> str:
    location = [part for part in details["loc"] if not str(part).startswith("function-")]
    field = ".".join(str(part) for part in location)
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        *above, name = location
        holders = [part for part in above if isinstance(part, str)]
        record = _RECORD_OF_FIELD[holders[-1]] if holders else Example
        message = f"unknown field{suggest(str(name), record.model_fields)}"
    return f"{field}: {message}" if field else message


def write_jsonl(path: Path, examples: Iterable[Example]) -> None:
    """Writes posts, one a line; the file appears whole or not at all.

    Raises:
        DataError: It cannot be written.
    """
    with replacing(path) as file:
        for example in examples:
            # Without what is None: a field that is left out is one that is not annotated.
            file.write(example.model_dump_json(exclude_none=True) + "\n")
