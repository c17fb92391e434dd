"""Rows of logs that programs write as JSON lines, while they run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from instruct_mner.errors import DataError
from instruct_mner.files import read_lines


def read_rows(path: Path) -> dict[int, Mapping[str, object]]:
    """Return the objects of a file of JSON lines by the numbers of their lines, from 1.

    A last line that is no object is left out: a run that goes on, or was killed, has written a part of it.

    Raises:
        DataError: The file cannot be read, or another line is none.
    """
    lines = {number: line for number, line in enumerate(read_lines(path), start=1) if line.strip()}
    rows: dict[int, Mapping[str, object]] = {}
    for number, line in lines.items():
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            rows[number] = value
        elif number != max(lines):
            raise DataError(f"{path}:{number}: not a JSON object, {{…}}; name the file as the program wrote it")
    return rows
