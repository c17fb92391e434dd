"""Published sets that lie beside the checkout, each read once in a process."""

from __future__ import annotations

import gc
from functools import cache
from pathlib import Path

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.loading import load
from instruct_mner.schema.choices import LabelColumn


@cache
def published(folder: Path, column: LabelColumn = "fine") -> dict[str, Dataset]:
    """Return the splits of a set; its pictures are not asked for."""
    splits = load(str(folder), missing_image="keep", label_column=column)
    # They stay until the end: no later garbage collection is to go through all of their posts.
    gc.freeze()
    return splits
