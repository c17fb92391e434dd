from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from instruct_mner.data.formats import find_files
from instruct_mner.data.loading import load_split
from instruct_mner.data.standard_input import is_spooled, named, spooled
from instruct_mner.errors import DataError

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


def test_messages_call_it_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, b"{}\n")
    with pytest.raises(DataError) as error:
        load_split("-")
    assert "standard input cannot be used" in named(str(error.value))
    assert "standard input:1: id: is needed" in named(str(error.value))
    assert named("no word of it") == "no word of it"
