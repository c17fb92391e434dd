r"""CMNER: Chinese Weibo posts, a character and a tag a line, several pictures a post.

A raw post (``\t`` is a tab; lines end with ``\r\n``)::

    WID:L9CmdzwIN
    雪\tB-ORG
    佛\tI-ORG
    兰\tI-ORG
    探\tO

The text is the characters joined with nothing. Pictures are all files ``<post id>_<picture id>.jpg`` in ``images``, in
the order of their names; the files of a set do not say which there should be, so none is ever missing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

from instruct_mner.data.column_layout import Layout
from instruct_mner.data.columns import parse, to_example
from instruct_mner.data.dataset import Dataset, Reading, ReadOptions, dataset_name, picture_folder
from instruct_mner.data.picture_files import PICTURE_SUFFIXES
from instruct_mner.files import read_bytes
from instruct_mner.schema.choices import Decode
from instruct_mner.schema.records import Example

HEADER = "WID"


def read(path: Path, options: ReadOptions) -> Reading:
    """Read one file; see ``Reader``."""
    content = read_bytes(path)
    columns = parse(content, path, Layout(header=HEADER))
    root = picture_folder(path.parent, options.images)
    pictures = _pictures_by_post(root)

    def examples(decode: Decode) -> tuple[Example, ...]:
        return tuple(to_example(post, tuple(pictures[post.id]), decode, joiner="") for post in columns.posts)

    dataset = Dataset(
        name=dataset_name(path.parent, path.stem),
        format="cmner",
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=examples(options.decode),
        image_root=root,
        segmentation="characters",
        notes=columns.notes,
    )
    tolerant = examples("tolerant") if options.decode == "strict" else None
    return Reading(dataset, tuple(columns.problems), columns.count_entities(), tolerant)


def _pictures_by_post(root: Path | None) -> defaultdict[str, list[str]]:
    """Return the names of the pictures by the id of their post, sorted."""
    pictures: defaultdict[str, list[str]] = defaultdict(list)
    for file in sorted(root.iterdir()) if root is not None else ():
        if file.suffix.lower() in PICTURE_SUFFIXES:
            pictures[file.stem.rpartition("_")[0]].append(file.name)
    return pictures
