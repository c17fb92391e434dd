"""Predictions in all that ``import`` reads: CSV, Excel, tokens with tags, exports of tools."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from instruct_mner.data.importing.posts import Fault
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.tables import Table
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.jsonl import rows as posts_of
from instruct_mner.errors import DataError
from instruct_mner.schema.choices import Decode
from instruct_mner.schema.records import Example
from instruct_mner.scoring.other_texts import squeezed
from instruct_mner.scoring.tool_predictions import SCORES, import_predictions

Row = Mapping[str, object]

_OF_TOOLS = frozenset({".json", ".jsonl", ".ndjson"})
_SCORE = re.compile(r"0?\.\d+(?:[eE]-\d+)?|[01](?:\.0*)?|\d(?:\.\d+)?[eE]-\d+")


def is_table(path: Path) -> bool:
    """Return whether a file is a table by its name."""
    return path.suffix.lower() in {".csv", ".tsv", ".xlsx", ".xlsm"}


def imported_rows(path: Path, decode: Decode = "tolerant") -> list[Row]:
    """Read all that ``import`` reads; posts get the ids of the gold by their order or texts unless they have them.

    Pre-annotations of Label Studio and suggestions of Argilla are read where no post of the file is annotated.

    Args:
        path: File or folder, or ``format:path`` such as ``hub:user/name``.
        decode: Decoding of tags.

    Raises:
        DataError: It cannot be imported, a post holds no prediction, or a confidence is none.
    """
    written = _of_predictions(path)
    if written is not None:
        return written
    with TemporaryDirectory() as folder:
        out = Path(folder) / "posts.jsonl"
        import_file(str(path), out, ImportOptions(decode=decode))
        examples = _posts(out)
        if path.suffix.lower() in _OF_TOOLS and all(example.entities is None for example in examples):
            out.unlink()
            import_predictions(path, out)
            examples = _posts(out)
    unannotated = sum(example.entities is None for example in examples)
    if unannotated:
        raise DataError(
            f"{path}: {unannotated} of {len(examples)} posts hold no prediction, not even that there is none"
        )
    return [{"id": each.id, "text": each.text, "entities": _scored(each, path)} for each in examples]


def _posts(path: Path) -> list[Example]:
    return [row.example for row in posts_of(path) if row.example is not None]


def with_absent_posts(path: Path, rows: Sequence[Row], posts: Sequence[Example]) -> Sequence[Row]:
    """Return rows with one for each post that a table of one mention a row does not hold, and say how many these are.

    A program that writes a row without a mention for a post without one writes it for all of them: there none is added.

    Args:
        path: The file.
        rows: A row for each post of the file.
        posts: The gold.
    """
    columns = Table(path).mention_columns if is_table(path) else None
    if columns is None or not all(row["entities"] for row in rows):
        return rows
    by_id = columns.id is not None and set(map(_id_of, rows)) <= {post.id for post in posts}
    name_of = _id_of if by_id else _text_of
    held = Counter(map(name_of, rows))
    absent: list[Row] = []
    for post in posts:
        row = {"id": post.id, "text": post.text, "entities": []}
        if held[name_of(row)]:
            held[name_of(row)] -= 1
        else:
            absent.append(row)
    if held.total() or not absent:
        return rows  # of other posts, which is told where they are matched
    print(
        f"{path}: {len(absent)} of the {len(posts)} posts of the gold stand in none of its rows, the first is "
        f"{absent[0]['id']!r}; they are scored as posts in which no entity was predicted",
        file=sys.stderr,
    )
    whole = [*rows, *absent]
    return whole if by_id else [{name: cell for name, cell in row.items() if name != "id"} for row in whole]


def _id_of(row: Row) -> str:
    return str(row.get("id", ""))


def _text_of(row: Row) -> str:
    return squeezed(str(row.get("text", "")))


def _of_predictions(path: Path) -> list[Row] | None:
    """Read a table of predictions with all that they hold; ``None`` where it is one of posts, as far as that is told.

    ``convert`` writes a column of rejected items; other programs write confidences beside the offsets.
    """
    if not is_table(path):
        return None
    rows: list[Row] = []
    told = False
    for _, row in Table(path).rows():
        entities = None if isinstance(row, Fault) else row.get("entities")
        if isinstance(row, Fault) or not isinstance(entities, list):
            return None
        scored = any(isinstance(each, dict) and "score" in each for each in entities)
        told = told or scored or isinstance(row.get("rejected"), dict)
        rows.append(row)
    return rows if told else None


def _scored(example: Example, path: Path) -> list[Row]:
    """Return the entities of an imported post, with the confidences of a table of one mention a row, or of a tool."""
    entities: list[Row] = [each.model_dump(mode="json", exclude_none=True) for each in example.gold]
    scores = (example.meta or {}).get(SCORES)
    if not isinstance(scores, list) or len(scores) != len(entities) or all(score is None for score in scores):
        return entities
    numbers = [float(score) for score in scores if _SCORE.fullmatch(str(score))]
    if len(numbers) != len(scores):
        raise DataError(
            f"{path}: post {example.id!r}: 'score' holds {scores}, and confidences are numbers from 0 to 1; "
            "mend them, or name the column otherwise"
        )
    return [{**entity, "score": number} for entity, number in zip(entities, numbers, strict=True)]
