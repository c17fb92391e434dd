r"""brat: a text, and beside it a file of stand-off annotations.

``1.txt`` and ``1.ann`` (``\t`` is a tab; only lines ``T…`` are entities)::

    Anna Bell flew to Oslo            T1\tPER 0 9\tAnna Bell
                                      T2\tLOC 18 22\tOslo

Source: https://brat.nlplab.org/standoff.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from instruct_mner.data.importing.posts import Fault, Mark, RawPost
from instruct_mner.files import read_bytes, read_lines


def of_folder(folder: Path, notes: list[str]) -> Iterator[RawPost | Fault]:
    """Read all texts of a folder; those without annotations are posts that are not annotated."""
    texts = sorted(path for path in folder.rglob("*.txt"))
    lonely = [path.name for path in folder.rglob("*.ann") if not path.with_suffix(".txt").is_file()]
    for name in lonely:
        yield Fault(str(folder / name), "there is no text beside it; put its .txt there, or take it out")
    more = sorted({path.name for kind in ("*.a1", "*.a2") for path in folder.rglob(kind)})
    if more:
        notes.append(f"{folder}: further annotations are not read: {', '.join(more[:3])}; name them .ann if they are")
    yield from of_texts(texts, notes)


def of_texts(texts: Sequence[Path], notes: list[str]) -> Iterator[RawPost | Fault]:
    """Read texts with the annotations beside them."""
    others: Counter[str] = Counter()
    for path in texts:
        annotations = path.with_suffix(".ann")
        try:
            text = read_bytes(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            reason = f"byte 0x{error.object[error.start]:02x} at position {error.start} is not UTF-8"
            yield Fault(str(path), f"{reason}; save the file as UTF-8")
            continue
        marks: list[Mark] | None = None
        try:
            if annotations.is_file():
                marks = list(_marks(annotations, others))
        except ValueError as error:
            yield Fault(str(annotations), str(error))
            continue
        yield RawPost(
            where=str(path),
            id=path.stem,
            text=text.rstrip("\r\n"),
            marks=None if marks is None else tuple(marks),
        )
    if others:
        kinds = ", ".join(f"{number} of {kind}" for kind, number in sorted(others.items()))
        notes.append(f"annotations that are no entities are left out: {kinds}")


def _marks(path: Path, others: Counter[str]) -> Iterator[Mark]:
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        if not line.startswith("T"):
            others[line[0]] += 1
            continue
        _, _, rest = line.partition("\t")
        place, tab, surface = rest.partition("\t")
        parts = place.split(" ")
        if ";" in place:
            raise ValueError(f"line {number}: {line!r} is in several pieces, a mention is one span; join or drop it")
        if len(parts) != 3 or not tab or not all(part.isdecimal() for part in parts[1:]):
            raise ValueError(f"line {number}: expected 'T1<TAB>LABEL START END<TAB>TEXT', found {line[:60]!r}")
        yield Mark(
            start=int(parts[1]), end=int(parts[2]), surface=surface, label=parts[0], where=f"{path.name}: line {number}"
        )
