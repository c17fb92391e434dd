r"""CoNLL files as the Twitter sets use them (UMT's layout): a post is its id, then a token and a tag a line.

A raw post (``\t`` is a tab)::

    IMGID:1015799
    RT\tO
    @JayKenMinaj\tO
    ...
    George\tB-PER
    Zimmerman\tI-PER
    got\tO

The picture is ``1015799.jpg``; text is the tokens joined with one space. A file without any ``IMGID:`` line is one of
sentences without pictures: their ids are made from the file's hash and the line. See ``columns`` for the rest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from instruct_mner.data.columns import Layout, Post, count_entities, parse, to_example
from instruct_mner.data.dataset import (
    Dataset,
    Reading,
    ReadOptions,
    dataset_name,
    missing_pictures,
    picture_folder,
    picture_name,
)
from instruct_mner.files import read_bytes


def read(path: Path, options: ReadOptions) -> Reading:
    """Reads one file; see ``Reader``."""
    content = read_bytes(path)
    posts, problems = parse(content, path, Layout(needs_header=False))
    root = picture_folder(path.parent, options.images)
    examples = tuple(to_example(post, picture_of(post, root), options.decode) for post in posts)
    dataset = Dataset(
        name=dataset_name(path.parent, path.stem),
        format="conll",
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=examples,
        image_root=root,
        missing_images=missing_pictures(examples, root),
    )
    return Reading(dataset, tuple(problems), count_entities(posts))


def picture_of(post: Post, root: Path | None) -> tuple[str, ...]:
    """The picture of a post, which is named by its id; none where the post had no id of its own."""
    return (picture_name(post.id, root),) if post.has_header else ()
