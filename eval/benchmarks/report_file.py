"""The report of a benchmark: printed, and kept where the user says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def print_report(report: Mapping[str, object], output: Path | None) -> None:
    """Print a report as JSON, and write it to a file, if one is named."""
    text = json.dumps(report, ensure_ascii=False, indent=2)
    print(text)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")
