r"""JSONL, the native format: one post a line, the fields of ``Example``.

A raw row (one line; pictures lie relative to the folder of the file)::

    {"id": "575705", "text": "RT @ PSDSecondary : Webber MS welcomes Mr", "images": ["pictures/575705.jpg"],
     "entities": [{"start": 20, "end": 29, "text": "Webber MS", "label": "PER",
                   "boxes": [{"image": 0, "box": [132, 22, 500, 706]}]}]}

Only ``id`` and ``text`` are asked for. A field that is left out is not annotated; ``[]`` is annotated as
empty. ``meta`` holds further columns, which are carried into predictions. See ``lenient`` for rows of other programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from instruct_mner.data.dataset import Reading, ReadOptions
from instruct_mner.data.lenient import RepeatedKeyError, completed, loads
from instruct_mner.data.rows import Row, collect, parse_row
from instruct_mner.files import Line, replacing, stream_lines
from instruct_mner.schema.records import Example


def read(path: Path, options: ReadOptions) -> Reading:
    """Read one file; see ``Reader``."""
    return collect("jsonl", path, options, rows(path))


def rows(path: Path, position: int = 0) -> Iterator[Row]:
    """Read the rows of a file, from the line that begins at a byte."""
    return (row for line in stream_lines(path, position) if (row := parse_line(line, path)) is not None)


def parse_line(line: Line, path: Path) -> Row | None:
    """Read a line; ``None`` for a blank one."""
    problems = () if line.problem is None else (line.problem,)
    if line.fatal:
        return Row(line.number, line.offset, None, problems)
    if not line.text.strip(" "):
        return None
    row = parse_row(partial(Example.model_validate_json, line.text), path, line.number, line.offset, problems)
    try:
        values = loads(line.text)
    except RepeatedKeyError as error:
        return Row(line.number, line.offset, None, (*problems, f"{path}:{line.number}: {error}"))
    except (ValueError, RecursionError):
        return row
    empty = row.example is not None and "" in row.example.images
    wrong = row.example is None or empty
    whole, num_filled = completed(values) if wrong and isinstance(values, dict) else (values, 0)
    if whole == values:
        return row
    parse = partial(Example.model_validate, whole)
    return parse_row(parse, path, line.number, line.offset, problems, num_filled=num_filled)


def write_jsonl(path: Path, examples: Iterable[Example]) -> None:
    """Write posts, one a line; the file appears whole or not at all.

    Raises:
        DataError: It cannot be written.
    """
    with replacing(path) as file:
        for example in examples:
            # Without what is None: a field that is left out is one that is not annotated.
            file.write(example.model_dump_json(exclude_none=True) + "\n")
