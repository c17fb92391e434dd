r"""Hugging Face ``datasets``: a folder (``save_to_disk``, parquet, imagefolder with metadata) or a name on the hub.

``hub:user/name`` gives all splits, ``hub:user/name#test`` one. Columns by their usual names; a raw row of each kind::

    {"id": "7", "tokens": ["Webber", "MS"], "ner_tags": [1, 2], "image": <Image>}
    {"text": "Webber MS", "entities": [{"start": 0, "end": 9, "label": "PER", "boxes": [[132, 22, 500, 706]]}]}

``tokens`` or ``words`` go with ``ner_tags``, ``tags`` or ``labels``: BIO tags, as texts or as class labels. ``text`` or
``sentence`` goes with ``entities``, whose offsets are characters or tokens, end exclusive or not, as their surfaces and
the words say, or as the user does. Other columns are carried along in ``meta``; what looks like a picture, labels, a
box or an id under another name is asked about. Where the column of tags or entities is not there, or null in a row,
the post is not annotated. ``id`` may be left out. ``image`` or ``images`` hold pictures, or names of files in the
folder. Pictures are written once to the cache of ``datasets``, as files named by the hash of their content.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from instruct_mner.data.bio import decode_spans
from instruct_mner.data.dataset import Dataset, Reading, ReadOptions, dataset_name, missing_pictures, picture_folder
from instruct_mner.data.hub_rows import HubColumns, Row
from instruct_mner.data.importing.entities import EntityNotes, entities_of
from instruct_mner.data.importing.offsets import tell_unit, text_of
from instruct_mner.data.importing.picture_names import FileNames
from instruct_mner.data.importing.posts import RawPost
from instruct_mner.data.joining import TokenCounts
from instruct_mner.errors import DataError
from instruct_mner.files import read_bytes
from instruct_mner.schema.choices import Decode, Offsets
from instruct_mner.schema.records import Example
from instruct_mner.schema.validation_messages import reasons

_SPLIT_NAMES = {"train": "train", "validation": "dev", "valid": "dev", "val": "dev", "dev": "dev", "test": "test"}
_ROWS_LOOKED_AT = 20
_ORDER = ("train", "dev", "test")


def find_splits(path: Path) -> dict[str, Path]:
    """Find the splits of a folder or hub name, each as a path of its own: ``name#split``.

    Raises:
        DataError: There is no such data set or split.
    """
    source, _, wanted = str(path).partition("#")
    splits = {split: Path(f"{source}#{name}") for split, name in _split_names(_load(source)).items()}
    if wanted:
        split = wanted if wanted in splits else _SPLIT_NAMES.get(wanted, wanted)
        if split not in splits:
            raise DataError(f"hub:{path}: there is no split {wanted!r}; found: {', '.join(splits)}")
        return {split: splits[split]}
    return {name: splits[name] for name in (*_ORDER, *splits) if name in splits}


def _split_names(own: Iterable[str]) -> dict[str, str]:
    """Return the splits' own names by ours; of two that would be the same, one keeps its own."""
    splits: dict[str, str] = {}
    for name in sorted(own, key=lambda name: _SPLIT_NAMES.get(name, name) != name):
        split = _SPLIT_NAMES.get(name, name)
        splits[name if split in splits else split] = name
    return splits


def _load(source: str) -> dict[str, Any]:
    """Load the splits as ``datasets.Dataset``, by their own names."""
    import datasets

    path = Path(source)
    try:
        if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            loaded = datasets.load_from_disk(source)
        elif path.is_file():
            loaded = datasets.load_dataset(path.suffix.removeprefix("."), data_files=source)
        else:
            loaded = datasets.load_dataset(source)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"hub:{source} cannot be loaded as a folder or as a name on the hub: {reason}") from None
    if isinstance(loaded, datasets.Dataset):
        return {str(loaded.split or "train"): loaded}
    return dict(loaded)


def read(path: Path, options: ReadOptions) -> Reading:
    """Read one split, ``name#split``; see ``Reader``."""
    source, _, split = str(path).partition("#")
    rows = _load(source)[split]
    columns = HubColumns.of(rows.features, options.columns, options.label_names)
    further = [name for name in columns.meta if name not in columns.pictures and name in rows.column_names]
    head = rows.select_columns(further)[:_ROWS_LOOKED_AT] if further else {}
    problems = columns.problems(rows.column_names, f"hub:{path}", head)
    root = _picture_root(columns, Path(source), options)
    digest = hashlib.sha256()
    posts: list[RawPost] = []
    tags: list[list[str]] = []
    for number, row in enumerate(_with_stored_pictures(rows, columns, root) if not problems else ()):
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True, default=str).encode())
        try:
            posts.append(columns.to_raw(row, f"hub:{path}: row {number}", options.decode))
            tags.append(columns.tags_of(row) or [])
        except ValueError as error:
            problems.append(f"hub:{path}: row {number}: {error}")
    counts = TokenCounts.of(post.tokens for post in posts if post.text is None and post.tokens is not None)
    posts = [post.joined(counts) for post in posts]
    notes, file_names = EntityNotes(), FileNames()
    examples, wrong = _examples(posts, f"hub:{path}", options.offsets, notes, file_names)
    problems += wrong
    if not examples and not problems:
        problems.append(f"hub:{path}: the split holds no row")
    decodings: tuple[Decode, ...] = ("tolerant", "strict") if "tags" in columns.names else ()
    carried = ", ".join(columns.meta)
    dataset = Dataset(
        name=dataset_name(Path(source), split),
        format="hub",
        path=path,
        sha256=digest.hexdigest(),
        examples=tuple(examples),
        image_root=root,
        missing_images=missing_pictures(examples, root),
        segmentation=counts.segmentation,
        notes=(
            *((f"hub:{path}: carried along in 'meta': {carried}",) if carried else ()),
            *notes.lines(f"hub:{path}"),
            *file_names.lines(f"hub:{path}"),
        ),
    )
    num_entities = {how: sum(len(decode_spans(post, how)) for post in tags) for how in decodings}
    return Reading(dataset, tuple(problems), num_entities)


def _examples(
    posts: Sequence[RawPost], source: str, offsets: Offsets | None, notes: EntityNotes, file_names: FileNames
) -> tuple[list[Example], list[str]]:
    """Return the posts as records, after the unit of their offsets was told by all of them, and what is wrong."""
    try:
        unit = offsets or tell_unit(posts, source, None)
    except DataError as error:
        return [], [str(error)]
    examples: dict[str, Example] = {}
    problems: list[str] = []
    for post in posts:
        text = text_of(post)
        # With a piece of the text's hash, so that rows of two sets are never taken for the same post.
        made = f"{hashlib.sha256(text.encode()).hexdigest()[:8]}-{post.where.rpartition(' ')[2]}"
        try:
            example = Example(
                id=made if post.id is None else str(post.id),
                text=text,
                images=tuple(map(file_names.name, post.images)),
                entities=None if post.marks is None else tuple(entities_of(post, post.unit or unit, notes)),
                tokens=post.tokens,
                meta=json.loads(json.dumps(post.meta, default=str)) or None,
            )
        except ValidationError as error:
            problems += [f"{post.where}: {reason}" for reason in reasons(error, Example)]
        except ValueError as error:
            problems.append(f"{post.where}: {error}")
        else:
            if examples.setdefault(example.id, example) is not example:
                problems.append(f"{post.where}: id {example.id!r} stands already in a row above")
    return list(examples.values()), problems


def _picture_root(columns: HubColumns, source: Path, options: ReadOptions) -> Path | None:
    """Return the folder of the pictures: the cache for those that are stored, else that of the set."""
    if columns.holds_pictures:
        return picture_cache()
    if options.images is None and source.is_dir():
        return source
    return picture_folder(source, options.images)


def picture_cache() -> Path:
    """Return the folder of pictures that were no files, beside what datasets keeps."""
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE) / "instruct-mner-pictures"


def _with_stored_pictures(rows: Any, columns: HubColumns, root: Path | None) -> Iterator[Row]:
    """Yield the rows with names in place of pictures."""
    import datasets

    name = columns.names.get("images")
    if root is None or name is None or not columns.holds_pictures:
        yield from rows
        return
    undecoded = datasets.Image(decode=False)
    single = isinstance(rows.features[name], datasets.Image)
    # Without decoding: the file is stored byte for byte as it was published.
    for row in rows.cast_column(name, undecoded if single else datasets.List(undecoded)):
        pictures = [row[name]] if single else row[name] or []
        yield {**row, name: [store_picture(_content(picture), root) for picture in pictures if picture is not None]}


def _content(picture: Row) -> bytes:
    content: bytes | None = picture["bytes"]
    return content if content is not None else read_bytes(Path(picture["path"]))


def store_picture(content: bytes, root: Path) -> str:
    """Write a picture where it is not there yet, and return its file name.

    Args:
        content: Bytes of the picture.
        root: Folder of pictures, which is made.

    Raises:
        DataError: It cannot be written.
    """
    # The suffix is for people; whoever opens the picture looks at its content.
    name = hashlib.sha256(content).hexdigest() + (".png" if content.startswith(b"\x89PNG") else ".jpg")
    target = root / name
    if not target.is_file():
        # Beside it and renamed, because a second process may read the same set.
        written = target.with_name(f".{name}.{os.getpid()}.tmp")
        try:
            root.mkdir(parents=True, exist_ok=True)
            written.write_bytes(content)
            written.replace(target)
        except OSError as error:
            raise DataError(f"{target}: a picture cannot be written: {error.strerror or error}") from None
    return name
