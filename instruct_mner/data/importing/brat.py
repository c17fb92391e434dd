r"""brat: a text, and beside it a file of stand-off annotations.

``1.txt`` and ``1.ann`` (``\t`` is a tab; only lines ``T…`` are entities)::

    Anna Bell flew to Oslo            T1\tPER 0 9\tAnna Bell
                                      T2\tLOC 18 22\tOslo

Source: https://brat.nlplab.org/standoff.html
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from instruct_mner.data.formats import SPLIT_NAMES, Splits, split_of
from instruct_mner.data.importing.offsets import same_surface
from instruct_mner.data.importing.posts import Fault, Mark, RawPost
from instruct_mner.errors import ConfigError
from instruct_mner.files import read_bytes, read_lines


def brat_posts(path: Path, notes: list[str]) -> Callable[[], Iterator[RawPost | Fault]] | None:
    """Return the reader of a brat folder, or of one of its files; ``None`` where there are no annotations."""
    if path.is_dir():
        return (lambda: of_folder(path, notes)) if any(map(_is_annotation, path.rglob("*"))) else None
    if path.suffix.lower() not in {".txt", ".ann"} or not path.is_file():
        return None
    files = [other for other in path.parent.iterdir() if other.stem == path.stem]
    text = path if path.suffix.lower() == ".txt" else next(filter(_is_text, files), None)
    if text is None:
        raise ConfigError(f"{path}: there is no text beside it; put {path.stem}.txt into the same folder")
    return (lambda: of_texts([text], files, notes)) if any(map(_is_annotation, files)) else None


def split_folders(folder: Path, notes: list[str]) -> Splits:
    """Return the folders of the splits in a brat folder; none where there are fewer than two.

    Args:
        folder: The folder.
        notes: Lines for the user, to which one is added where files lie outside of the splits.

    Raises:
        ConfigError: They are no folders of their own directly in it, one for each split.
    """
    files = sorted(path for path in folder.rglob("*") if _is_text(path) or _is_annotation(path))
    found: dict[Path, str] = {}
    outside = []
    for path in files:
        below = path.relative_to(folder).parents
        splits = ((folder / parent, split_of(parent.name)) for parent in reversed(below))
        place, split = next((each for each in splits if each[1] is not None), (None, None))
        if place is None or split is None:
            outside.append(path.relative_to(folder).as_posix())
        else:
            found[place] = split
    if len(found) < 2:
        return {}
    if len(set(found.values())) < len(found) or any(place.parent != folder for place in found):
        names = ", ".join(place.relative_to(folder).as_posix() for place in found)
        raise ConfigError(f"{folder} holds splits in {names}, not one folder for each split; import them one by one")
    if outside:
        names = ", ".join(place.name for place in found)
        notes.append(f"{folder}: {len(outside)} file(s) outside of {names} are not read, the first {outside[0]}")
    return {split: place for split in SPLIT_NAMES for place in found if found[place] == split}


def of_folder(folder: Path, notes: list[str]) -> Iterator[RawPost | Fault]:
    """Read all texts of a folder; those without annotations are posts that are not annotated."""
    files = sorted(folder.rglob("*"))
    texts = list(filter(_is_text, files))
    with_text = {path.with_suffix("") for path in texts}
    for path in files:
        if _is_annotation(path) and path.with_suffix("") not in with_text:
            yield Fault(str(path), "there is no text beside it; put its .txt there, or take it out")
    more = sorted({path.name for path in files if path.suffix.lower() in {".a1", ".a2"}})
    if more:
        notes.append(f"{folder}: further annotations are not read: {', '.join(more[:3])}; name them .ann if they are")
    yield from of_texts(texts, files, notes)


def of_texts(texts: Sequence[Path], files: Iterable[Path], notes: list[str]) -> Iterator[RawPost | Fault]:
    """Read texts.

    Args:
        texts: The texts.
        files: Files among which are their annotations.
        notes: Lines for the user, of which some are there after the posts were read.
    """
    others: Counter[str] = Counter()
    num_converted = 0
    annotations: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in filter(_is_annotation, files):
        annotations[path.with_suffix("")].append(path)
    for path in texts:
        try:
            text = read_bytes(path).decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError as error:
            reason = f"byte 0x{error.object[error.start]:02x} at position {error.start} is not UTF-8"
            yield Fault(str(path), f"{reason}; save the file as UTF-8")
            continue
        marks: list[Mark] = []
        beside = annotations[path.with_suffix("")]
        try:
            for each in beside:
                marks += _marks(each, others)
        except ValueError as error:
            yield Fault(str(each), str(error))
            continue
        alone = text.replace("\r\n", "\n")
        if _num_fitting(marks, alone) > _num_fitting(marks, text):
            text = alone
            num_converted += 1
        yield RawPost(where=str(path), id=path.stem, text=text, marks=tuple(marks) if beside else None)
    if num_converted:
        notes.append(f"line ends of {num_converted} text(s) are read as newlines alone, as their offsets count them")
    if others:
        kinds = ", ".join(f"{number} of {kind}" for kind, number in sorted(others.items()))
        notes.append(f"annotations that are no entities are left out: {kinds}")


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and path.is_file()


def _is_annotation(path: Path) -> bool:
    return path.suffix.lower() == ".ann" and path.is_file()


def _num_fitting(marks: Sequence[Mark], text: str) -> int:
    """Count the entities whose words stand at their offsets."""
    return sum(same_surface(text[mark.start : mark.end], mark.surface or "") for mark in marks)


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
