"""Published sets that lie beside the checkout, each read once in a process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.loading import load
from instruct_mner.schema.choices import LabelColumn


@cache
def published(folder: Path, column: LabelColumn = "fine") -> dict[str, Dataset]:
    """Return the splits of a set; its pictures are not asked for."""
    return load(str(folder), missing_image="keep", label_column=column)
