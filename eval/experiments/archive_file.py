"""Archives of runs: lines of JSON, compressed, replaced whole or not at all."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_archive(archive: Path) -> list[dict[str, Any]]:
    """Return the lines of an archive."""
    return [json.loads(line) for line in lzma.decompress(archive.read_bytes()).decode().splitlines()]


def write_archive(archive: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write the lines of an archive in place of those that it has."""
    written = [json.dumps(line, separators=(",", ":")) + "\n" for line in lines]
    part = archive.with_name(f"{archive.name}.part")
    part.write_bytes(lzma.compress("".join(written).encode()))
    part.replace(archive)
