"""Annotated posts in Python: read from a file of any kind, and predictions scored against them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from instruct_mner.data.content import hash_content
from instruct_mner.data.gold_and_prediction import num_tag_columns
from instruct_mner.data.hub import picture_cache, store_picture
from instruct_mner.data.importing.inline_pictures import FOLDER
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.known import known_name
from instruct_mner.data.loading import load_split
from instruct_mner.schema.choices import Match
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring import report as scoring
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES
from instruct_mner.scoring.files import GoldSource
from instruct_mner.scoring.outside_boxes import note_on_boxes
from instruct_mner.scoring.predictions import read_predictions
from instruct_mner.tagging.arguments import checked


@checked
def load(path: str | Path, *, images: str | Path | None = None) -> list[Example]:
    """Read posts from a file or folder of any kind that ``instruct-mner import`` reads.

    What was read as what is printed on standard error. Pictures whose bytes stand in the file are kept in the cache of
    datasets.

    Args:
        path: File or folder, or ``format:path``; the posts of several splits have theirs in ``meta``.
        images: Folder of the pictures; by default that of the file.

    Returns:
        The posts, with the paths of their pictures.

    Raises:
        ConfigError: There is no such folder of pictures, or the file can be read in two ways.
        DataError: There is no such file, or anything is wrong in it; all of it at once.
    """
    options = ImportOptions(images=None if images is None else Path(images))
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        imported = import_file(str(path), folder / "posts.jsonl", options)
        inline = sorted((folder / FOLDER).glob("*"))
        for note in imported.notes:
            print(note.replace(str(folder / FOLDER), str(picture_cache())) if inline else note, file=sys.stderr)
        read = load_split(f"jsonl:{folder / 'posts.jsonl'}", missing_image="keep").examples
        stored = {f"{FOLDER}/{picture.name}": _stored(picture) for picture in inline}
        return [_with_paths(example, folder, stored) for example in read]


def _stored(picture: Path) -> Path:
    """Return a file that stays for a picture whose bytes stand in the file of the posts."""
    root = picture_cache()
    return root / store_picture(picture.read_bytes(), root)


def _with_paths(example: Example, folder: Path, stored: Mapping[str, Path]) -> Example:
    """Return a post with paths in place of names from a folder; a picture that is not there keeps its name."""
    paths = {name: stored.get(name) or (folder / name).resolve() for name in example.images}
    images = tuple(str(path) if path.is_file() else name for name, path in paths.items())
    return example.model_copy(update={"images": images})


@checked
def evaluate(
    gold: str | Path | Iterable[Example],
    predictions: str | Path | Iterable[Prediction],
    *,
    match: Match = "offset",
    seed: int = 0,
    num_resamples: int = DEFAULT_NUM_RESAMPLES,
) -> scoring.Report:
    """Score predictions against annotated posts, as ``instruct-mner evaluate`` does.

    Args:
        gold: Annotated posts, or what :func:`load` reads them from; of columns of gold and prediction the former.
        predictions: Predictions of all of the posts, or their file. They are matched by id; predictions of the same
            texts in the same order, as a tagger returns them, need no ids.
        match: Condition under which an entity is right: ``offset``, ``surface`` or ``surface-lower-set``.
        seed: Seed of the bootstrap.
        num_resamples: Number of resamples of the bootstrap.

    Returns:
        The report: ``micro``, ``per_type``, ``triples`` and more, each with its interval; ``to_dict()`` for JSON.

    Raises:
        DataError: A file cannot be read, posts are not annotated, or the predictions are not of the same posts.
    """
    named = isinstance(gold, str | Path)
    posts = _read_gold(gold) if isinstance(gold, str | Path) else list(gold)
    if isinstance(predictions, str | Path):
        system = str(predictions), read_predictions(Path(predictions), posts)
    else:
        system = "predictions", _with_ids(list(predictions), posts)
    if (note := note_on_boxes(system[1], posts, Path())) is not None:
        print(f"{system[0]}: {note}", file=sys.stderr)
    hashes = hash_content(posts)
    stamp = scoring.Gold(
        name=str(gold) if named else "gold",
        sha256=hashes.content,
        decode="tolerant",
        num_posts=len(posts),
        known=known_name(hashes.content, hashes.text),
    )
    return scoring.evaluate(stamp, posts, system, match=match, seed=seed, num_resamples=num_resamples)


def _read_gold(path: str | Path) -> Sequence[Example]:
    """Read annotated posts, as :func:`load` does; of columns of gold and prediction, which it refuses, the gold."""
    if num_tag_columns(Path(path)) > 1:
        return GoldSource(data=str(path)).read()[0].examples
    return load(path)


def _with_ids(predictions: Sequence[Prediction], posts: Sequence[Example]) -> Sequence[Prediction]:
    """Return predictions with the ids of the posts, where they are of the same texts in the same order."""
    if [each.text for each in predictions] != [post.text for post in posts]:
        return predictions
    return [each.model_copy(update={"id": post.id}) for each, post in zip(predictions, posts, strict=True)]
