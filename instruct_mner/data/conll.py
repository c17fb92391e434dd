r"""CoNLL files as the Twitter sets use them (UMT's layout): a post is its id, then a token and a tag a line.

A raw post (``\t`` is a tab)::

    IMGID:1015799
    RT\tO
    @JayKenMinaj\tO
    ...
    George\tB-PER
    Zimmerman\tI-PER
    got\tO

The picture is ``1015799.jpg``; text is the tokens joined with one space, or as ``joining`` says in scripts without. A
file without any ``IMGID:`` line is one of sentences without pictures: their ids are those in the comments above them,
or made from the file's hash and the line. See ``columns`` for the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

from instruct_mner.data.bio import Joiner
from instruct_mner.data.column_layout import Layout, is_columns
from instruct_mner.data.columns import Columns, TaggedPost, parse, to_example
from instruct_mner.data.dataset import Dataset, Reading, ReadOptions, dataset_name, missing_pictures, picture_folder
from instruct_mner.data.picture_files import picture_name
from instruct_mner.errors import ConfigError
from instruct_mner.files import read_bytes
from instruct_mner.schema.choices import Decode
from instruct_mner.schema.packed import pack
from instruct_mner.schema.records import Example


def read(path: Path, options: ReadOptions) -> Reading:
    """Read one file; see ``Reader``."""
    content = read_bytes(path)
    columns = parse(
        content, path, chosen_layout(Layout(needs_header=False, several_sentences=options.several_sentences), options)
    )
    joining = columns.joining()
    root = picture_folder(path.parent, options.images)
    examples = to_examples(columns.posts, root, options, joining.joiners)
    dataset = Dataset(
        name=dataset_name(path.parent, path.stem),
        format="conll",
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=examples,
        image_root=root,
        missing_images=missing_pictures(examples, root),
        segmentation=joining.segmentation,
        notes=columns.notes,
    )
    strict = options.decode == "strict"
    tolerant = to_examples(columns.posts, root, options, joining.joiners, "tolerant") if strict else None
    problems = [*columns.problems, *_is_plain_text(path, columns, content)]
    return Reading(dataset, tuple(problems), columns.count_entities(), tolerant)


def _is_plain_text(path: Path, columns: Columns, content: bytes) -> Iterator[str]:
    """Say how a file that is no rows of tokens and tags at all is read."""
    is_text = bool(content.strip()) and b"\t" not in content
    if columns.problems and not columns.posts and is_text and not is_columns(path):
        yield (
            f"{path}: its lines look like plain text; if they are, turn them into JSONL: instruct-mner import "
            f"{quote(str(path))} -o posts.jsonl"
        )


def chosen_layout(layout: Layout, options: ReadOptions) -> Layout:
    """Return the layout with the column of tags that the user chose by its number, counted from 1.

    Raises:
        ConfigError: It is no number.
    """
    chosen = options.columns.get("tags", ())
    if not chosen:
        return layout
    if not chosen[0].isdecimal() or chosen[0] == "0":
        raise ConfigError(f"--column tags={chosen[0]}: columns without names are chosen by number, counted from 1")
    return replace(layout, tag=int(chosen[0]) - 1)


def to_examples(
    posts: Sequence[TaggedPost],
    root: Path | None,
    options: ReadOptions,
    joiners: Sequence[Joiner],
    decode: Decode | None = None,
) -> Sequence[Example]:
    """Return posts as records, each with the picture that its id names.

    Args:
        posts: The posts.
        root: Folder of the pictures.
        options: Options of the reader.
        joiners: Text between the tokens, one a post.
        decode: Rule that turns tags into spans, where it is not that of the options.
    """
    how = decode or options.decode
    return pack(
        to_example(post, picture_of(post, root, supposed_suffix=options.supposed_suffix), how, joiner)
        for post, joiner in zip(posts, joiners, strict=True)
    )


def picture_of(post: TaggedPost, root: Path | None, *, supposed_suffix: bool = True) -> tuple[str, ...]:
    """Return the picture of a post, which is named by its id; none where the post had no id of its own."""
    if not post.has_header:
        return ()
    return (post.picture or picture_name(post.id, root, supposed_suffix=supposed_suffix),)
