r"""Predictions of other programs: without ids, as a JSON list, or as answers that are still text.

A row of each (shortened)::

    LLaMA-Factory   {"prompt": "… Anna left", "predict": "[{\"text\": \"Anna\", \"label\": \"PER\"}]", "label": "…"}
    ms-swift        {"response": "PER: Anna", "labels": "…", "messages": [{"role": "user", "content": "… Anna left"}]}
    plain           {"text": "Anna left", "entities": [{"start": 0, "end": 4, "label": "PER", "score": 0.9}]}
    by id           {"id": "7", "entities": [{"start": 0, "end": 4, "label": "PER"}]}
    batch APIs      {"custom_id": "7", "response": {"body": {"choices": [{"message": {"content": "[]"}}]}}}
    others          all that ``import`` reads: CSV, Excel, tokens with tags, exports of tools, brat, ``hub:``

See :mod:`~instruct_mner.scoring.posts_of_rows` for the posts that they are of,
:mod:`~instruct_mner.scoring.batch_rows` for batch APIs, and :mod:`~instruct_mner.scoring.other_answers` for what an
answer may be.

Source: https://github.com/hiyouga/LLaMA-Factory/blob/main/src/llamafactory/train/sft/trainer.py
(``generated_predictions.jsonl``), https://swift.readthedocs.io/en/latest/Instruction/Inference-and-deployment.html
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.importing import docbin
from instruct_mner.data.importing.entities import entities_of
from instruct_mner.data.importing.marks import to_marks
from instruct_mner.data.importing.posts import RawPost
from instruct_mner.data.inclusive_ends import InclusiveEnds
from instruct_mner.data.lenient import completed, loads
from instruct_mner.data.parquet import is_parquet
from instruct_mner.data.prediction_parquet import stream_rows
from instruct_mner.data.problem_groups import ProblemGroups
from instruct_mner.data.unread import check_format
from instruct_mner.errors import DataError, MnerError
from instruct_mner.files import read_text, stream_lines
from instruct_mner.schema.choices import Decode
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.schema.validation_messages import reasons
from instruct_mner.scoring.batch_rows import plain_row
from instruct_mner.scoring.imported_predictions import imported_rows, is_table
from instruct_mner.scoring.other_answers import PredictionNotes, answer_spec, of_answer
from instruct_mner.scoring.other_texts import on_text_of
from instruct_mner.scoring.posts_of_rows import ANSWERS, Row, answer_of, is_answer, match_posts

_OWN = frozenset({"entities", *ANSWERS})
_OF_ENTITY = frozenset({"start", "end", "label"})


def rows_of_others(path: Path, decode: Decode = "tolerant") -> list[Row] | None:
    """Read the rows of another program; ``None`` for a file whose rows are those of ``tag``.

    Args:
        path: File or folder, or ``format:path`` such as ``hub:user/name``.
        decode: Decoding of tags.

    Raises:
        DataError: It is not JSON, of a format that is not read, or what cannot be imported.
    """
    suffix = path.suffix.lower()
    if path.is_dir() or not path.exists() or is_table(path) or suffix == docbin.SUFFIX:
        return imported_rows(path, decode)
    check_format(path)
    if suffix == ".json":
        return _listed(path) or imported_rows(path, decode)
    if is_parquet(path):
        return list(stream_rows(path)) if _are_of_others(stream_rows(path)) else None
    first = next(_objects(path), None)
    if first is None or not first.keys() & _OWN:
        with suppress(MnerError):
            return imported_rows(path, decode)  # else what is wrong is told with its line
    return _all_rows(path) if _are_of_others(_objects(path)) else None


def _objects(path: Path) -> Iterator[Row]:
    """Iterate over the rows of a file of JSON lines, up to the first that is no object."""
    for line in stream_lines(path):
        if line.text.strip():
            try:
                row = loads(line.text)
            except (ValueError, RecursionError):
                return
            if not isinstance(row, dict):
                return
            yield _plain(row)


def _plain(row: Row) -> Row:
    """Return a row by which its layout is told, whatever is wrong in it."""
    try:
        return plain_row(row)
    except ValueError:
        return {"response": ""}


def _all_rows(path: Path) -> list[Row]:
    rows: list[tuple[str, Row]] = []
    problems = ProblemGroups()
    for line in stream_lines(path):
        if line.text.strip():
            try:
                value = loads(line.text)
                if not isinstance(value, dict):
                    raise TypeError("no object")  # noqa: TRY301 (told with the others)
                rows.append((str(line.number), value))
            except (ValueError, TypeError, RecursionError) as error:
                problems.add(f"{path}:{line.number}: not a JSON object: {error}")
    problems.stop(str(path))
    return _plain_rows(path, rows)


def _plain_rows(path: Path, rows: Iterable[tuple[str, Row]]) -> list[Row]:
    """Return rows, which have their places, with those of batch APIs as an id and an answer."""
    plain: list[Row] = []
    problems = ProblemGroups()
    for place, row in rows:
        try:
            plain.append(plain_row(row))
        except ValueError as error:
            problems.add(f"{path}:{place}: {error}")
    problems.stop(str(path))
    return plain


def _listed(path: Path) -> list[Row]:
    """Return the rows of a list of entities or answers; none of another layout."""
    try:
        value = loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}; is the file cut?") from None
    if isinstance(value, dict) and len(value) == 1:
        [value] = value.values()
    rows: list[Row] = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
    known = rows and len(rows) == len(value) and any(_plain(row).keys() & _OWN for row in rows)
    return _plain_rows(path, ((f"item {number}", row) for number, row in enumerate(rows, start=1))) if known else []


def _are_of_others(rows: Iterator[Row]) -> bool:
    """Return whether rows are not those of ``tag``: by the first of them, and by the first with an entity."""
    first = next(rows, {})
    if is_answer(first) or ("entities" in first and not {"id", "text"} <= first.keys()):
        return True
    with_entities = next((row for row in chain([first], rows) if row.get("entities")), {})
    entities = with_entities.get("entities")
    return isinstance(entities, list) and not any(
        isinstance(each, dict) and each.keys() >= _OF_ENTITY for each in entities
    )


def read_others(path: Path, rows: Sequence[Row], posts: Sequence[Example]) -> list[Prediction]:
    """Read predictions of another program.

    Args:
        path: The file, for messages.
        rows: Rows of the file.
        posts: The gold.

    Raises:
        DataError: Rows are wrong, or are not those of the posts of the gold.
    """
    if not posts:
        raise DataError(f"{path}: rows without ids are matched with the posts of the gold, and there are none")
    predictions: list[Prediction] = []
    problems = ProblemGroups()
    spec = answer_spec(posts)
    notes = PredictionNotes()
    ends = InclusiveEnds()
    for number, (row, post) in enumerate(zip(rows, match_posts(path, rows, posts), strict=True), start=1):
        try:
            predictions.append(_prediction(row, post, spec, notes, ends))
        except ValidationError as error:
            problems.add_all(f"{path}: row {number}: {reason}" for reason in reasons(error, Prediction))
        except ValueError as error:
            problems.add(f"{path}: row {number}: {error}")
    problems.add_all(ends.problems_of_predictions(path))
    problems.stop(str(path))
    for line in notes.lines(str(path)):
        print(line, file=sys.stderr)
    return predictions


def _prediction(
    row: Row, post: Example, spec: AnswerSpec | None, notes: PredictionNotes, ends: InclusiveEnds
) -> Prediction:
    if (answer := answer_of(row)) is not None:
        if row.get("entities") is not None:
            raise ValueError("holds both entities and an answer, and which of them are predicted nobody can tell; take "
                             "the others out")  # fmt: skip
        if spec is None:
            raise ValueError("an answer cannot be read where the gold has no entity, and hence no types")
        return of_answer(answer, post, spec, notes)
    if row.get("entities") is None:
        raise ValueError("entities: is needed; [] says that there is none (is it a file of posts?)")
    own = row["text"] if isinstance(row.get("text"), str) else post.text
    known = {name: value for name, value in row.items() if name in Prediction.model_fields}
    whole, num_without_text = completed({**known, "text": own})
    values = {**whole, "id": post.id, "images": post.images}
    try:
        prediction = Prediction.model_validate(values)
    except ValidationError:
        raw = RawPost(where="", text=own, marks=to_marks(row["entities"]))
        entities = entities_of(raw, "characters", notes)
        num_without_text = sum(mark.surface is None for mark in raw.marks or ())
        notes.unread.discard("score")  # which is read below
        scores = _scores(row["entities"], len(entities))
        scored = [
            {**entity.model_dump(), "boxes": notes.largest(entity.boxes), **score}
            for entity, score in zip(entities, scores, strict=True)
        ]
        prediction = Prediction.model_validate({**values, "entities": scored})
    if num_without_text:
        ends.look_at(prediction)
    return on_text_of(prediction, post)


def _scores(value: Any, num_entities: int) -> list[dict[str, Any]]:
    """Return the confidence of each entity of a list, where it has one."""
    if isinstance(value, Mapping):
        column = value.get("score")
        given = column if isinstance(column, list) and len(column) == num_entities else [None] * num_entities
    else:
        given = [each.get("score") if isinstance(each, Mapping) else None for each in value]
    return [{} if score is None else {"score": score} for score in given]
