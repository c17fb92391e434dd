"""The formats that ``convert`` writes, by name and by the suffix of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from instruct_mner.data.exporting import argilla, columns, pictures, tables, tool_rows
from instruct_mner.data.exporting.posts import ExportedPosts
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.errors import ConfigError
from instruct_mner.schema.choices import ExportFormat

_CHARACTERS = ImportOptions(offsets="characters")

OfPredictions = Literal["confidences", "rejected items", "number of windows"]
"""Values that predictions have and gold has not."""

Write = Callable[[ExportedPosts, Path], None]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A format that is written.

    Attributes:
        name: Name of the format.
        title: Name for messages.
        suffixes: Suffixes of its files; the first is that of new files, and none is that of a folder.
        write: Writer of one file; ``None`` for what is a folder.
        read: Options with which ``import`` reads it back; ``None`` where nothing can be lost.
        holds: Values of predictions, beyond those of gold, that are kept.
        note: Line for the user on posts that the tool shows otherwise; ``None`` where there are none.
    """

    name: ExportFormat
    title: str
    suffixes: tuple[str, ...]
    write: Write | None = None
    read: ImportOptions | None = _CHARACTERS
    holds: frozenset[OfPredictions] = frozenset()
    note: Callable[[ExportedPosts], str | None] = lambda _: None


def _text(pieces: Callable[[ExportedPosts], Iterable[str]], posts: ExportedPosts, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(pieces(posts))


def _texts(pieces: Callable[[ExportedPosts], Iterable[str]]) -> Write:
    return partial(_text, pieces)


def _lines(posts: ExportedPosts) -> Iterator[str]:
    # Without what is None: a field that is left out is one that is not annotated.
    return (post.model_dump_json(exclude_none=True) + "\n" for post in posts.posts)


# A text that is a list in brackets is a text, which only the names of columns tell where all texts are such.
_OF_CSV = ImportOptions(offsets="characters", columns=("text=text",))
_CHAT = ImportOptions(text_after=tool_rows.TEXT_AFTER)
_SCORES: frozenset[OfPredictions] = frozenset({"confidences"})
_ALL: frozenset[OfPredictions] = frozenset(get_args(OfPredictions))

TARGETS: Sequence[Target] = (
    Target(name="jsonl", title="JSONL", suffixes=(".jsonl",), write=_texts(_lines), read=None, holds=_ALL),
    Target(name="conll", title="CoNLL", suffixes=(".conll", ".txt", ".bio", ".iob2"), write=_texts(columns.write),
           read=ImportOptions()),
    Target(name="csv", title="CSV", suffixes=(".csv",), write=_texts(tables.write_csv), read=_OF_CSV,
           holds=_SCORES | {"rejected items"}),
    Target(name="parquet", title="Parquet", suffixes=(".parquet",), write=tables.write_parquet, read=ImportOptions(),
           holds=_ALL),
    Target(name="label-studio", title="Label Studio", suffixes=(".json",), write=_texts(tool_rows.label_studio),
           holds=_SCORES),
    Target(name="argilla", title="Argilla", suffixes=(".json",), write=_texts(argilla.write), holds=_SCORES,
           note=argilla.shifted_note),
    Target(name="doccano", title="doccano", suffixes=(".jsonl",), write=_texts(tool_rows.doccano)),
    Target(name="spacy", title="spaCy", suffixes=(".json",), write=_texts(tool_rows.spacy),
           note=tool_rows.note_on_tokens),
    Target(name="coco", title="COCO", suffixes=(".json",), write=_texts(pictures.coco), holds=_SCORES),
    Target(name="sharegpt", title="ShareGPT", suffixes=(".json",), write=_texts(tool_rows.sharegpt), read=_CHAT),
    Target(name="voc", title="Pascal VOC", suffixes=(), read=ImportOptions()),
)  # fmt: skip
"""All formats; a new one is a function that writes it, and a line here."""

_FILE_SUFFIXES = tuple(dict.fromkeys(suffix for target in TARGETS for suffix in target.suffixes))


def is_file_name(out: Path) -> bool:
    """Return true for a name with the suffix of a format, false for that of a folder."""
    return out.suffix.lower() in _FILE_SUFFIXES and not out.is_dir()


def folder_of(out: Path) -> Path:
    """Return the folder of the written files, from which pictures are named."""
    return out.parent if is_file_name(out) else out


def choose_target(out: Path, chosen: ExportFormat | None) -> Target:
    """Choose the format of an output.

    Args:
        out: File or folder that is written.
        chosen: Format that the user says; ``None`` where the suffix of the file tells it.

    Raises:
        ConfigError: The suffix is that of no format or of several, or not that of the chosen one.
    """
    by_name = {target.name: target for target in TARGETS}
    suffix = out.suffix.lower()
    if suffix[1:].isalpha() and not is_file_name(out) and not out.is_dir():
        raise ConfigError(
            f"{out}: {suffix} is the suffix of no format that is written; name a file {', '.join(_FILE_SUFFIXES)}, or "
            f"a folder without a suffix, {out.with_suffix('')}, for all splits"
        )
    if chosen is not None:
        target = by_name[chosen]
        if is_file_name(out) and suffix not in target.suffixes:
            named = (
                f"call it {out.with_suffix(target.suffixes[0])}" if target.suffixes else f"name a folder, {out.stem}"
            )
            raise ConfigError(f"{out}: --to {chosen} does not write {suffix}; {named}")
        return target
    if not is_file_name(out):
        return by_name["jsonl"]
    # JSONL is the native format, and only by name that of another tool.
    fitting = [target for target in TARGETS if suffix in target.suffixes]
    if len(fitting) > 1 and fitting[0].name != "jsonl":
        names = ", ".join(f"--to {target.name} ({target.title})" for target in fitting)
        raise ConfigError(f"{out}: {suffix} is the suffix of several formats; choose with {names}")
    return fitting[0]
