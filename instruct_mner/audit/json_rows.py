"""Rows of logs that programs write as JSON lines, while they run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from instruct_mner.errors import DataError
from instruct_mner.files import read_text


def read_rows(path: Path) -> dict[int, Mapping[str, object]]:
    """Return the objects of a file of JSON lines by the numbers of their lines, from 1.

    A last line without its end is left out where it is no object: a run that goes on, or was killed, has written a part
    of it.

    Raises:
        DataError: The file cannot be read, or another line is no JSON object.
    """
    lines = read_text(path).split("\n")
    rows: dict[int, Mapping[str, object]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            rows[number] = value
        elif line.strip() and number < len(lines):
            raise DataError(f"{path}:{number}: not a JSON object, {{…}}; name the file as the program wrote it")
    return rows
