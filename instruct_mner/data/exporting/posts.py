"""Posts that are written in another format: gold, or the predictions of a model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyarrow import ArrowException, parquet
from pydantic import ValidationError

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.formats import find_files
from instruct_mner.data.inclusive_ends import InclusiveEnds
from instruct_mner.data.lenient import loads
from instruct_mner.data.picture_files import find_picture
from instruct_mner.data.prediction_parquet import read_table, stream_rows
from instruct_mner.data.prediction_rows import prediction_of_line
from instruct_mner.data.problem_groups import ProblemGroups
from instruct_mner.data.rows import picture_root
from instruct_mner.errors import DataError
from instruct_mner.files import Line, stream_lines
from instruct_mner.images import image_size
from instruct_mner.schema.packed import pack
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.schema.validation_messages import reasons

Post = Example | Prediction
"""A post of gold, or of predictions."""


@dataclass(frozen=True)
class ExportedPosts:
    """The posts of one split.

    Attributes:
        name: Name of the split, for messages.
        posts: The posts, with pictures named from the folder of the written file.
        paths: Files of the pictures, by their names.
        other_labels: Types of the data set, where its other splits hold more.
    """

    name: str
    posts: Sequence[Post]
    paths: Mapping[str, Path]
    other_labels: frozenset[str] = frozenset()

    def labels(self) -> list[str]:
        """Return the types of the data set in their order, which is that of every split."""
        return sorted({entity.label for post in self.posts for entity in post.entities or ()} | self.other_labels)

    def size(self, picture: str) -> tuple[int, int] | None:
        """Return width and height of a picture; ``None`` where it is not there or cannot be opened."""
        if picture not in self.paths:
            return None
        try:
            return image_size(self.paths[picture])
        except DataError:
            return None


def of_dataset(dataset: Dataset, folder: Path) -> ExportedPosts:
    """Return a split whose pictures are named from a folder, as ``convert`` writes them."""
    return _named(dataset.name, dataset.examples, dataset.image_root, folder)


def _named(name: str, posts: Sequence[Post], root: Path | None, folder: Path) -> ExportedPosts:
    if root is None:  # there is nothing to be relative to: bare names, for a later --images
        return ExportedPosts(name, posts, {})
    paths: dict[str, Path] = {}
    base, target = root.resolve(), folder.resolve()

    def renamed(post: Post) -> Post:
        names = []
        for picture in post.images:
            path = find_picture(root, picture)
            relative = Path(os.path.relpath(base / picture, target)).as_posix()
            names.append(relative)
            if path is not None:
                paths[relative] = path
        return post.model_copy(update={"images": tuple(names)}) if names else post

    return ExportedPosts(name, pack(map(renamed, posts)), paths)


def read_predicted(data: str, images: Path | None, folder: Path) -> dict[str, ExportedPosts] | None:
    """Read predictions, as ``tag`` writes them; ``None`` for anything else.

    Args:
        data: DATA, as the user names it.
        images: Folder of the pictures; without it, that of the file.
        folder: Folder of the file that is written, from which pictures are named.

    Raises:
        DataError: The file cannot be read, or a row is no prediction.
    """
    form, files = find_files(data)
    if form not in {"jsonl", "parquet"} or len(files) != 1:
        return None
    [(split, path)] = files.items()
    if form == "parquet":
        posts = pack(read_table(path)) if _is_table_of_predictions(path) else None
    else:
        posts = _of_lines(path)
    return None if posts is None else {split: _named(split, posts, picture_root(path, images), folder)}


def _is_table_of_predictions(path: Path) -> bool:
    try:
        columns = parquet.read_schema(path)
    except (ArrowException, OSError):
        return False  # which its reader says
    if "rejected" in columns.names or "entities" not in columns.names:
        return "rejected" in columns.names
    return "score" in str(columns.field("entities").type) and any(map(_is_prediction, stream_rows(path)))


def _of_lines(path: Path) -> Sequence[Prediction] | None:
    # Any row may be the first that tells: rejected items and confidences are optional.
    if not any(map(_is_line_of_prediction, stream_lines(path))):
        return None
    problems = ProblemGroups()
    predictions = pack(_predictions(path, problems))
    problems.stop(str(path))
    return predictions or None


def _predictions(path: Path, problems: ProblemGroups) -> Iterator[Prediction]:
    ends = InclusiveEnds()
    for line in stream_lines(path):
        if line.text.strip():
            try:
                yield prediction_of_line(line.text, ends=ends)
            except ValidationError as error:
                problems.add_all(f"{path}:{line.number}: no prediction: {each}" for each in reasons(error, Prediction))
            except ValueError as error:
                problems.add(f"{path}:{line.number}: no prediction: {error}")
    problems.add_all(ends.problems_of_predictions(path))


def _is_line_of_prediction(line: Line) -> bool:
    if '"rejected"' not in line.text and '"score"' not in line.text:  # which is much faster than to parse it
        return False
    try:
        row = loads(line.text)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and _is_prediction(row)


def _is_prediction(row: Mapping[str, object]) -> bool:
    entities = row.get("entities")
    scored = isinstance(entities, list) and any(
        isinstance(each, dict) and each.get("score") is not None for each in entities
    )
    return "rejected" in row or scored


def as_gold(post: Post) -> Example:
    """Return a prediction as a post with entities, without their scores."""
    if isinstance(post, Example):
        return post
    entities = [entity.model_dump(exclude={"score"}) for entity in post.entities]
    return Example.model_validate(
        {"id": post.id, "text": post.text, "images": post.images, "entities": entities, "meta": post.meta}
    )


def json_line(value: object) -> str:
    """Return a value as one line of JSON, with the characters of texts as they are."""
    return json.dumps(value, ensure_ascii=False) + "\n"
