from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from instruct_mner.data.formats import find_files
from instruct_mner.data.importing.piped import piped_file
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.data.standard_input import is_spooled, named, spooled
from instruct_mner.errors import ConfigError, DataError

POST = b'{"id": "1", "text": "Ann", "images": ["a.png"], "entities": []}\n'


def give(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_it_is_read_once_and_its_pictures_lie_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, POST)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").touch()
    dataset = load_split("-")
    assert load_split("-").examples == dataset.examples
    assert dataset.name == "standard input/stdin"
    assert dataset.image_root == tmp_path
    assert is_spooled(dataset.path)
    assert not is_spooled(tmp_path / "posts.jsonl")


def test_another_stream_is_read_anew_and_a_format_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, POST)
    first = spooled()
    give(monkeypatch, b"Ann\tB-PER\n\n")
    assert spooled() != first
    assert find_files("conll:-")[0] == "conll"


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (POST, ".json"),
        (POST + POST, ".jsonl"),
        (b'[{"text": "Ann"}]', ".json"),
        (b"Ann\tB-PER\n\n", ".txt"),
        (b"so, Ann\n", ".txt"),
        (b"[Ann] left\n", ".txt"),
        (b"text,entities\nAnn,[]\n", ".csv"),
        (b'"id";"text"\n1;Ann\n', ".csv"),
        (b"sentence_id\tword\ttag\n1\tAnn\tB-PER\n", ".tsv"),
        (b"bild,titel\na.png,Ann\n", ".csv"),
        (b"PK\x03\x04", ".xlsx"),
        (b"PAR1", ".parquet"),
        (b"", ".txt"),
    ],
)
def test_import_tells_what_it_holds(content: bytes, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, content)
    path = piped_file({"text": ["titel"]})
    assert (path.suffix, path.read_bytes()) == (suffix, content)
    assert is_spooled(path)
    assert piped_file({"text": ["titel"]}) == path
    assert named(f"{path}:1: import {path} -o x") == "standard input:1: import - -o x"


@pytest.mark.parametrize(
    "content",
    [
        POST,
        b'[{"id": "1", "text": "Ann", "images": ["a.png"], "entities": []}]',
        b"id,text,images,entities\n1,Ann,a.png,[]\n",
        b"sentence_id\tword\ttag\timage\n1\tAnn\tO\ta.png\n",
    ],
)
def test_import_reads_it(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, content)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").touch()
    import_file("-", Path("folder/out.jsonl"), ImportOptions())
    [post] = load_split("folder/out.jsonl").examples
    assert (post.id, post.text, post.images, post.entities) == ("1", "Ann", ("../a.png",), ())
    with pytest.raises(ConfigError, match="leave the format out: import -"):
        import_file("jsonl:-", None, ImportOptions())


def test_messages_call_it_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, b"{}\n")
    with pytest.raises(DataError) as error:
        load_split("-")
    assert "standard input cannot be used" in named(str(error.value))
    assert "standard input:1: id: is needed" in named(str(error.value))
    assert named("no word of it") == "no word of it"
