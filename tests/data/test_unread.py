"""Formats that are known and not read."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from instruct_mner.data.formats import find_files
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.unread import check_format
from instruct_mner.errors import DataError


def _zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "Anna left")
    return file.getvalue()


def _tarred(mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        archive.addfile(tarfile.TarInfo("posts.jsonl"))
    return file.getvalue()


def _saved(array: bool) -> bytes:
    file = io.BytesIO()
    if array:
        np.save(file, np.zeros(2))
    else:
        Image.new("RGB", (4, 4)).save(file, "JPEG")
    return file.getvalue()


GROUND_TRUTH = {
    "source": "Anna left",
    "ner": {"annotations": {"entities": [{"label": "PER", "startOffset": 0, "endOffset": 4}]}},
    "ner-metadata": {"job-name": "ner"},
}
RASA = {"rasa_nlu_data": {"common_examples": [{"text": "Anna left", "entities": []}]}}

FILES = {
    "a.tsv": (b"#FORMAT=WebAnno TSV 3.3\n\n#Text=Anna\n1-1\t0-4\tAnna\t*\tPER\n", "WebAnno TSV", "CoNLL 2002"),
    "a.xmi": (b'<?xml version="1.0"?>\n<xmi:XMI xmlns:xmi="x"/>', "UIMA CAS XMI", "CoNLL 2002"),
    "cas.json": (b'{"%TYPES": {}, "%FEATURE_STRUCTURES": []}', "UIMA CAS JSON", "CoNLL 2002"),
    "a.xml": (b"<doc>Anna</doc>", "XML", "CSV"),
    "a.txt": (b"\xef\xbb\xbf<?xml version='1.0'?>\n<doc>Anna</doc>", "XML", "CSV"),
    "a.html": (b"<p>Anna</p>", "HTML", r"\.txt"),
    "b.txt": (b"<!DOCTYPE html>\n<p>Anna</p>", "HTML", r"\.txt"),
    "nlu.yml": (b"version: 3\nnlu:\n- intent: x\n", "Rasa", "entities"),
    "a.yaml": (b"- text: Anna\n", "YAML", "JSON lines"),
    "a.pdf": (b"%PDF-1.7\n%\xe2\xe3", "a PDF", r"\.txt"),
    "a.rtf": (b"{\\rtf1 Anna}", "RTF", r"\.txt"),
    "a.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Office", r"\.xlsx"),
    "a.xlsx": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "encrypted", r"\.xlsx"),
    "a.docx": (_zipped("word/document.xml"), "Word", r"\.txt"),
    "a.ods": (_zipped("content.xml"), "OpenOffice", "CSV"),
    "a.zip": (_zipped("posts.jsonl"), "an archive", "unpack"),
    "a.jsonl.gz": (b"\x1f\x8b\x08\x00", "an archive", "unpack"),
    "a.jsonl": (_tarred("w:bz2"), "an archive", "unpack"),
    "a.tar": (_tarred("w"), "an archive", "unpack"),
    "a.tar.xz": (_tarred("w:xz"), "an archive", "unpack"),
    "a.pkl": (pickle.dumps([1]), "a pickle", "JSON lines"),
    "a.arrow": (b"ARROW1\x00\x00", "Arrow", "to_parquet"),
    "stream.arrow": (b"\xff\xff\xff\xff\x10\x03\x00\x00\x10\x00", "Arrow", "to_parquet"),
    "a.db": (b"SQLite format 3\x00", "SQLite", "JSON lines"),
    "a.npy": (_saved(array=True), "NumPy", "JSON lines"),
    "a.jpg": (_saved(array=False), "a picture", "--images"),
    "gt.jsonl": (json.dumps(GROUND_TRUTH).encode(), "Ground Truth", "'ner' → 'annotations'"),
    "rasa.json": (json.dumps(RASA).encode(), "Rasa", "common_examples"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_message_names_the_format_and_what_to_do(name: str, tmp_path: Path) -> None:
    content, said, remedy = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} is .*{said}.*, which is not read; .*{remedy}"):
        import_file(str(path), tmp_path / "posts.jsonl", ImportOptions())
    assert not (tmp_path / "posts.jsonl").exists()


@pytest.mark.parametrize("name", ["a.tsv", "a.pdf", "a.jsonl.gz", "a.jsonl"])
def test_commands_that_read_no_other_tools_say_it_too(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name][0])
    with pytest.raises(DataError, match="which is not read"):
        find_files(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"<3 this <html> course\n"),
        ("a.txt", b"nlu: what a word\nnlu:\n"),
        ("a.txt", b"BZh is no archive\n"),
        ("a.txt", b"GIF8 of the day\n"),
        ("a.jsonl", b'{"text": "%PDF-1.7"}\n'),
        ("a.jsonl", b""),
        ("a.csv", "text\nAnna\n".encode("utf-8-sig")),
        ("a.csv", "text\nAnna\n".encode("utf-16")),
        ("a.xlsx", _zipped("xl/workbook.xml")),
    ],
)
def test_what_only_looks_like_one_passes(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    check_format(tmp_path / name)


def test_nothing_is_taken_from_a_pipe(tmp_path: Path) -> None:
    check_format(tmp_path)
    check_format(tmp_path / "absent")
    check_format(Path("/dev/zero"))
