r"""Files with columns that hold predictions, alone or beside the gold, as conlleval reads and many taggers write.

The gold is the last but one column of tags, the prediction the last; of FMNERG's two, either is that of the chosen
labels::

    Anna B-PER B-PER
    Bell I-PER I-PER
    flew O O

Source: https://www.clips.uantwerpen.be/conll2000/chunking/output.html
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from instruct_mner.data import fmnerg
from instruct_mner.data.column_layout import find_tag_columns, is_columns
from instruct_mner.data.dataset import Dataset, ReadOptions
from instruct_mner.data.importing.sources import is_json
from instruct_mner.data.loading import checked, read_with
from instruct_mner.data.problem_groups import ProblemGroups
from instruct_mner.files import read_lines
from instruct_mner.schema.choices import Decode, LabelColumn

_OF_ROWS = frozenset({".json", ".jsonl", ".ndjson", ".parquet"})


def num_tag_columns(path: Path) -> int:
    """Return the number of columns of tags of a file: 0 for a file without columns, 2 for gold and prediction."""
    if not path.is_file() or path.suffix.lower() in _OF_ROWS or is_json(path) or not is_columns(path):
        return 0
    lines = read_lines(path)
    return 1 if fmnerg.is_fmnerg(lines) else len(find_tag_columns(lines))


def read_column(
    path: Path,
    which: Literal["gold", "prediction"],
    decode: Decode = "tolerant",
    label_column: LabelColumn = "fine",
) -> Dataset:
    """Read the gold or the prediction of a file with columns; the only column of tags is either.

    Args:
        path: The file.
        which: Side that is read.
        decode: Decoding of the tags.
        label_column: Column of FMNERG that holds the labels.

    Raises:
        DataError: Anything wrong in the file.
    """
    lines = read_lines(path)
    columns = [fmnerg.COLUMNS.index(label_column.upper())] if fmnerg.is_fmnerg(lines) else find_tag_columns(lines)
    column = columns[-1] if which == "prediction" else columns[-2:][0]
    options = ReadOptions(decode=decode, columns={"tags": (str(column + 1),)})
    readings = read_with(f"conll:{path}", options)
    if which == "prediction":
        [reading] = readings.values()
        ProblemGroups(reading.problems).stop(str(path))
        return reading.dataset
    [dataset] = checked(readings, str(path), "keep").values()
    side = () if len(columns) < 2 else (f"{path}: column {column + 1} is taken for the {which}",)
    return replace(dataset, notes=(*dataset.notes, *side))
