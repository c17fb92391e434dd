"""Predictions of one system, from files as ``tag`` and as others write them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from instruct_mner.data.formats import find_files
from instruct_mner.data.gold_and_prediction import num_tag_columns, read_column
from instruct_mner.data.importing.brat import brat_posts
from instruct_mner.data.inclusive_ends import InclusiveEnds
from instruct_mner.data.lenient import RepeatedKeyError
from instruct_mner.data.parquet import is_parquet
from instruct_mner.data.prediction_parquet import stream_rows
from instruct_mner.data.prediction_rows import ImagesOf, images_by_id, prediction_of, prediction_of_line
from instruct_mner.data.problem_groups import group_problems
from instruct_mner.errors import ConfigError, DataError, listing
from instruct_mner.files import read_lines
from instruct_mner.schema.choices import Decode, LabelColumn
from instruct_mner.schema.packed import pack
from instruct_mner.schema.records import Example, PredictedEntity, Prediction
from instruct_mner.schema.validation_messages import reasons
from instruct_mner.scoring.imported_predictions import with_absent_posts
from instruct_mner.scoring.other_predictions import read_others, rows_of_others
from instruct_mner.scoring.other_texts import on_text_of, squeezed

_TOLD_BY_CONTENT = frozenset({"conll", "fmnerg", "jsonl", "parquet"})
_NO_ENTITIES = "entities: is needed; [] says that there is none (is it a file of posts?)"


def read_predictions(
    path: Path, posts: Sequence[Example] = (), decode: Decode = "tolerant", label_column: LabelColumn = "fine"
) -> Sequence[Prediction]:
    """Read predictions as ``tag`` writes them, as columns of tags, or as other programs write them.

    What was chosen for the user, such as the last of several columns of tags, is printed on standard error.

    Args:
        path: The file; a folder, or ``format:path``, where it is what ``import`` reads.
        posts: The gold, whose ids posts without ids get, in its order and by their texts, and whose pictures posts
            with boxes get that name none.
        decode: Decoding of the tags of columns.
        label_column: Column of FMNERG that holds the labels.

    Raises:
        ConfigError: The format is unknown, or it holds several splits.
        DataError: The file cannot be read, or rows are wrong: each with file, line and reason.
    """
    path = _named_file(path)
    num_columns = num_tag_columns(path)
    if num_columns > 1:
        print(f"{path}: its last column of tags is taken for the prediction", file=sys.stderr)
    if num_columns:
        return _of_columns(path, posts, decode, label_column)
    others = rows_of_others(path, decode)
    if others is not None:
        return read_others(path, with_absent_posts(path, others, posts), posts)
    problems: list[str] = []
    predictions = pack(_of_rows(path, images_by_id(posts), problems))
    if problems:
        raise DataError(f"{path} holds rows that are not predictions:\n{listing(group_problems(problems))}")
    return predictions


def _named_file(path: Path) -> Path:
    """Return the file of a folder or ``format:path`` whose content tells its format too; any other path as it is."""
    if brat_posts(path, []) is not None if path.is_dir() else path.exists():
        return path
    form, files = find_files(str(path))
    if len(files) > 1:
        raise ConfigError(f"{path} holds the splits {', '.join(files)}; name the one to score alone")
    return next(iter(files.values())) if form in _TOLD_BY_CONTENT else path


def _of_rows(path: Path, images_of: ImagesOf, problems: list[str]) -> Iterator[Prediction]:
    """Iterate over the predictions of a file, and note what is wrong in its rows."""
    ends = InclusiveEnds()
    for number, read in _readers(path, images_of, ends):
        try:
            prediction = read()
        except ValidationError as error:
            problems += [f"{path}:{number}: {reason}" for reason in reasons(error, Prediction)]
        except RepeatedKeyError as error:
            problems.append(f"{path}:{number}: {error}")
        else:
            yield prediction
            if "entities" not in prediction.model_fields_set:
                problems.append(f"{path}:{number}: {_NO_ENTITIES}")
    problems += ends.problems_of_predictions(path)


def _readers(path: Path, images_of: ImagesOf, ends: InclusiveEnds) -> Iterator[tuple[int, Callable[[], Prediction]]]:
    """Yield the number of each row, and the function that makes its prediction."""
    if is_parquet(path):
        for number, row in enumerate(stream_rows(path), start=1):
            yield number, partial(prediction_of, row, images_of, ends=ends)
        return
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            yield number, partial(prediction_of_line, line, images_of, ends=ends)


def _of_columns(path: Path, posts: Sequence[Example], decode: Decode, label_column: LabelColumn) -> list[Prediction]:
    examples = read_column(path, "prediction", decode, label_column).examples
    ids = [example.id for example in examples]
    by_id = {post.id: post for post in posts}
    if posts and by_id.keys().isdisjoint(ids):
        texts = [squeezed(example.text) for example in examples]
        if texts != [squeezed(post.text) for post in posts]:
            number = next(
                (n for n, pair in enumerate(zip(texts, posts, strict=False)) if pair[0] != squeezed(pair[1].text)), None
            )
            where = f"the first that differs is number {number + 1}" if number is not None else "one holds more"
            raise DataError(
                f"{path}: its {len(texts)} posts have no ids and are not the {len(posts)} of the gold in their order "
                f"({where}); score columns against the file that they were made from"
            )
        ids = [post.id for post in posts]
    return [
        _on_text_of(by_id.get(identifier), _of_example(example, identifier))
        for identifier, example in zip(ids, examples, strict=True)
    ]


def _of_example(example: Example, identifier: str) -> Prediction:
    entities = (
        PredictedEntity(start=each.start, end=each.end, text=each.text, label=each.label) for each in example.gold
    )
    return Prediction(id=identifier, text=example.text, entities=tuple(entities))


def _on_text_of(post: Example | None, prediction: Prediction) -> Prediction:
    """Return a prediction on the text of its post where they differ in blanks alone; others are told with all such."""
    if post is None or squeezed(post.text) != squeezed(prediction.text):
        return prediction
    return on_text_of(prediction, post)
