"""Posts of an import, checked and written as JSONL, whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO

from pydantic import ValidationError

from instruct_mner.data.checks import GoldCheck
from instruct_mner.data.importing.entities import EntityNotes, entities_of
from instruct_mner.data.importing.inline_pictures import InlinePictures, is_inline
from instruct_mner.data.importing.offsets import text_of
from instruct_mner.data.importing.picture_names import FileNames, PictureNamer
from instruct_mner.data.importing.posts import Fault, RawPost
from instruct_mner.data.importing.regions import Finder, Regions
from instruct_mner.data.importing.sources import Item
from instruct_mner.data.problem_groups import ProblemGroups
from instruct_mner.data.standard_output import standard_output
from instruct_mner.files import replacing
from instruct_mner.schema.choices import Decode, ImportLayout, Offsets
from instruct_mner.schema.records import Example
from instruct_mner.schema.validation_messages import reasons


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Options of the user for a file.

    Attributes:
        images: Folder of the pictures.
        columns: ``ROLE=NAME``, a column each.
        offsets: Unit of the offsets of entities.
        decode: Rule that turns BIO tags into spans.
        text_after: Words after which the text of a conversation begins; empty where a message is the text.
        label_names: Names of labels that are numbers, in their order.
        layout: ImportLayout of the rows.
        boxes: Boxes that were drawn in another tool.
    """

    images: Path | None = None
    columns: Sequence[str] = ()
    offsets: Offsets | None = None
    decode: Decode = "tolerant"
    text_after: str | None = None
    label_names: Sequence[str] = ()
    layout: ImportLayout | None = None
    boxes: Regions | None = None


@dataclass
class Imported:
    """The result of an import.

    Attributes:
        num_posts: Posts that were written.
        num_entities: Number of their entities.
        notes: Lines for the user: what was read as what, carried along and left out.
    """

    num_posts: int = 0
    num_entities: int = 0
    notes: list[str] = field(default_factory=list)


def write_posts(
    posts: Iterable[Example | Item],
    out: Path | None,
    source: str,
    options: ImportOptions,
    total: Imported,
    *,
    root: Path | None,
    unit: Offsets = "characters",
) -> None:
    """Write posts, or raise everything that is wrong in them.

    Args:
        posts: The posts, raw or whole.
        out: File that is written; ``None`` for standard output.
        source: Name of the file that is read, for messages.
        options: Options of the user for the file.
        total: Result that is added to.
        root: Folder in which pictures are looked for where the user names none.
        unit: Unit of the offsets of raw posts.

    Raises:
        DataError: Anything wrong in the posts; nothing is written.
    """
    problems = ProblemGroups()
    check = GoldCheck(source)
    seen: set[int] = set()
    entity_notes = EntityNotes()
    file_names, inline = FileNames(), InlinePictures(None if out is None else out.parent)
    pictures = PictureNamer(options.images, root, out, inline)
    begun, num_unannotated = total.num_posts, 0
    with _target(out) as file, inline:
        for number, item in enumerate(posts, start=1):
            example = _example(item, unit, problems, source, number, entity_notes, file_names, inline)
            if example is None:
                continue
            if hash(example.id) in seen:
                problems.add(
                    f"{_where(item, source, number)}: id {example.id!r} stands already above; give each post an id of "
                    "its own, or carry the column along (--column meta=NAME) to have ids made"
                )
                continue
            seen.add(hash(example.id))
            try:
                example = _with_boxes(example, item, options.boxes, pictures.find)
            except ValueError as error:
                problems.add(f"{_where(item, source, number)}: {error}")
                continue
            check.look_at(example, "words")
            if example.images:
                example = example.model_copy(update={"images": tuple(map(pictures.name, example.images))})
            try:
                line = example.model_dump_json(exclude_none=True)
            except ValueError:
                problems.add(f"{_where(item, source, number)}: holds half of a surrogate pair, which is no character; "
                             "write the whole character, or take it out")  # fmt: skip
                continue
            total.num_posts += 1
            total.num_entities += len(example.entities or ())
            num_unannotated += example.entities is None
            file.write(line + "\n")
        result = check.result()
        problems.add_all(result.problems)
        problems.add_all(() if options.boxes is None else options.boxes.problems())
        if total.num_posts == begun and not problems:
            problems.add(f"{source}: the file holds no post")
        problems.stop(source)
        inline.place()
    if 0 < num_unannotated < total.num_posts - begun or (num_unannotated and source.endswith(".json")):
        total.notes.append(f"{source}: {num_unannotated} posts are not annotated")
    total.notes += [*entity_notes.lines(source), *file_names.lines(source), *inline.lines(source)]
    total.notes += [*pictures.lines(source), *result.lines()]
    total.notes += () if options.boxes is None else options.boxes.lines()


@contextmanager
def _target(out: Path | None) -> Iterator[TextIO]:
    """Open the output; standard output gets everything at the end, or nothing where there are problems."""
    if out is not None:
        with replacing(out) as file:
            yield file
        return
    with TemporaryFile("w+", encoding="utf-8", newline="\n") as file:
        yield file
        file.seek(0)
        shutil.copyfileobj(file, output := standard_output())
        output.flush()


def _where(item: Example | Item, source: str, number: int) -> str:
    return f"{source}: post {number}" if isinstance(item, Example) else item.where


def _with_boxes(example: Example, item: Example | Item, boxes: Regions | None, find: Finder) -> Example:
    """Return a post with the boxes that were drawn in another tool; those that it has are compared with its pictures.

    Raises:
        ValueError: Boxes are not of the picture, or belong to no mention.
    """
    if isinstance(item, RawPost):
        for picture, drawn in zip(example.images, item.drawn, strict=False):
            path = find(picture) if drawn.regions else None
            if path is not None:
                drawn.check_picture(path)
    return example if boxes is None else boxes.given_to(example, find)


def _made_id(source: str, text: str, number: int) -> str:
    """Return an id of the text and its place, with the name of the file, so that no two files share one."""
    return f"{hashlib.sha256(f'{Path(source).name} {text}'.encode('utf-8', 'replace')).hexdigest()[:8]}-{number}"


def _example(
    item: Example | Item,
    unit: Offsets,
    problems: ProblemGroups,
    source: str,
    number: int,
    entity_notes: EntityNotes,
    file_names: FileNames,
    inline: InlinePictures,
) -> Example | None:
    if isinstance(item, Fault):
        problems.add(f"{item.where}: {item.reason}")
        return None
    try:
        if isinstance(item, Example):
            return _with_files(item, inline)
        text = text_of(item)
        values = {
            "id": _made_id(source, text, number) if item.id is None else item.id,
            "text": text,
            "images": tuple(map(file_names.name, item.images)),
            "entities": None if item.marks is None else entities_of(item, item.unit or unit, entity_notes),
            "tokens": item.tokens,
            "context": item.context,
            "meta": dict(item.meta) or None,
        }
        made = Example.model_validate({name: value for name, value in values.items() if value is not None})
        return _with_files(made, inline)
    except ValidationError as error:
        problems.add_all(f"{_where(item, source, number)}: {reason}" for reason in reasons(error, Example))
    except ValueError as error:
        problems.add(f"{_where(item, source, number)}: {error}")
    return None


def _with_files(example: Example, inline: InlinePictures) -> Example:
    """Return a post with files in the place of pictures whose bytes stand in it.

    Raises:
        ValueError: A picture is left out on which there are boxes.
    """
    if not any(map(is_inline, example.images)):
        return example
    names = [inline.keep(name) if is_inline(name) else name for name in example.images]
    if None in names and any(entity.boxes for entity in example.entities or ()):
        raise ValueError(
            "has boxes, and a picture whose bytes stand in the row and cannot be kept; save it as a file and name it"
        )
    return example.model_copy(update={"images": tuple(name for name in names if name is not None)})
