"""Formats that are known and not read: each is named, with what to write or export in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from instruct_mner.errors import DataError

_LENGTH = 1024
_ROWS = "write its posts as CSV or JSON lines"
_TEXT = "save its text as .txt, one post a line"
_UNPACK = "unpack it, and name the file or folder in it"
_ARCHIVES = rb"PK\x05\x06|\x1f\x8b|BZh[1-9]1AY&SY|\xfd7zXZ|7z\xbc\xaf|Rar!\x1a|\x28\xb5\x2f\xfd|.{257}ustar"
_INCEPTION = "export CoNLL 2002 in INCEpTION"
_PICTURES = "name the file of the posts, and the folder of their pictures by --images"

# By how a file begins. The first that fits counts.
_BEGINNINGS = tuple(
    (re.compile(beginning, re.DOTALL), name, remedy)
    for beginning, name, remedy in (
        (rb"#FORMAT=WebAnno TSV", "WebAnno TSV", _INCEPTION),
        (rb"\s*<\?xml[^>]*>\s*<xmi:XMI|\s*<xmi:XMI", "UIMA CAS XMI", _INCEPTION),
        (rb'\s*\{\s*"%(TYPES|FEATURE_STRUCTURES|VIEWS)"', "UIMA CAS JSON", _INCEPTION),
        (rb"(?i)\s*<!doctype html|\s*<html[\s>]", "HTML", _TEXT),
        (rb"\s*<\?xml\s", "XML", f"export JSON, CSV or CoNLL in the tool that made it, or {_ROWS}"),
        (rb"%PDF-", "a PDF", _TEXT),
        (rb"\{\\rtf", "a text with formats (RTF)", _TEXT),
        (rb"\xd0\xcf\x11\xe0", "of the old Office format, or an encrypted one", "save it as .xlsx, CSV or .txt"),
        (rb"\x80[\x02-\x05]", "a pickle (to read one can run code)", _ROWS),
        (rb"ARROW1\x00\x00|\xff{4}...\x00", "Arrow", "write Parquet, with datasets: Dataset.to_parquet(…)"),
        (rb"SQLite format 3\x00", "a data base of SQLite", _ROWS),
        (rb"\x89HDF", "HDF5", _ROWS),
        (rb"\x93NUMPY", "an array of NumPy", _ROWS),
        (rb"\xff\xd8\xff|\x89PNG|GIF8[79]a|RIFF....WEBP", "a picture", _PICTURES),
        (_ARCHIVES, "an archive", _UNPACK),
    )
)  # fmt: skip
# All of these begin as an archive of zip.
_ZIPPED = {
    ".docx": ("a document of Word", _TEXT),
    ".odt": ("a document of OpenOffice", _TEXT),
    ".pptx": ("slides", _TEXT),
    ".ods": ("a table of OpenOffice", "save it as .xlsx or CSV"),
    ".xlsb": ("a binary table of Excel", "save it as .xlsx or CSV"),
    ".npz": ("arrays of NumPy", _ROWS),
}
_READ_ZIPPED = frozenset({".xlsx", ".xlsm"})
_YAML = (".yaml", ".yml")
_SUFFIXES = {
    ".xml": ("XML", f"export JSON, CSV or CoNLL in the tool that made it, or {_ROWS}"),
    ".html": ("HTML", _TEXT),
    ".htm": ("HTML", _TEXT),
    **dict.fromkeys(_YAML, ("YAML", _ROWS)),
}
_RASA = re.compile(rb"(?m)^nlu:")


def check_format(path: Path) -> None:
    """Check that a file is of no format that is known and not read.

    What is no file, and what cannot be opened, passes: its reader says more, and what is read of a pipe is gone.

    Raises:
        DataError: It is one.
    """
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            beginning = file.read(_LENGTH).removeprefix(b"\xef\xbb\xbf")
    except OSError:
        return
    suffix = path.suffix.lower()
    found = next(((name, remedy) for pattern, name, remedy in _BEGINNINGS if pattern.match(beginning)), None)
    if beginning.startswith(b"PK\x03\x04") and suffix not in _READ_ZIPPED:
        found = _ZIPPED.get(suffix, ("an archive", _UNPACK))
    if suffix in _YAML and _RASA.search(beginning):
        found = ("training data of Rasa", 'write each example as {"text": …, "entities": […]}, one a line')
    found = found or _SUFFIXES.get(suffix)
    if found is not None:
        name, remedy = found
        raise DataError(f"{path} is {name}, which is not read; {remedy}")


def check_row(row: Mapping[str, object], where: str) -> None:
    """Check that a row is of no layout that is known and not read.

    Raises:
        DataError: It is one of Rasa, or of SageMaker Ground Truth.
    """
    if isinstance(row.get("rasa_nlu_data"), dict):
        raise DataError(
            f"{where} is training data of Rasa, which is not read; write the list 'common_examples' alone, with "
            "'label' in the place of 'entity'"
        )
    for name, value in row.items():
        entities = value.get("annotations") if isinstance(value, dict) else None
        if f"{name}-metadata" in row and isinstance(entities, dict) and isinstance(entities.get("entities"), list):
            raise DataError(
                f'{where} is a manifest of SageMaker Ground Truth, which is not read; write {{"text": …, '
                f"\"entities\": …}} a line, of 'source' and of 'entities' in '{name}' → 'annotations'"
            )
