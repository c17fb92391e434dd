"""Every published set is known by name however it is written, and its posts are found by the leak guard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command import exit_code

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.leaks import guard
from instruct_mner.data.loading import load_split
from instruct_mner.schema.choices import LabelColumn

CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "crlf": lambda content: content.replace(b"\n", b"\r\n"),
    "byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "no last newline": lambda content: content.rstrip(b"\n"),
    "all three": lambda content: b"\xef\xbb\xbf" + content.rstrip(b"\n").replace(b"\n", b"\r\n"),
}
SETS: list[tuple[str, str, LabelColumn, str]] = [
    ("twitter2015/valid.txt", "conll", "fine", "Twitter-2015 (original labels), dev"),
    ("twitter2015_repaired/valid.txt", "conll", "fine", "Twitter-2015 (repaired labels), dev"),
    ("twitter2017/valid.txt", "conll", "fine", "Twitter-2017, dev"),
    ("gmner/txt/dev.txt", "gmner", "fine", "Twitter-GMNER v2.0, dev"),
    ("fmnerg/dev.txt", "fmnerg", "coarse", "FMNERG (coarse labels), dev"),
    ("fmnerg/dev.txt", "fmnerg", "fine", "FMNERG (fine labels), dev"),
    ("cmner/dev.txt", "cmner", "fine", "CMNER, dev"),
]
OFTEN = ("Twitter-2017", "Twitter-GMNER", "FMNERG (coarse")


# All at once and a set of each format in every run; one by one, seven times as long, and the others among the proofs.
@pytest.mark.parametrize(
    "changes", [["all three"], pytest.param([*CHANGES], marks=pytest.mark.prove)], ids=["once", "each"]
)
@pytest.mark.parametrize(
    ("file", "form", "column", "name"),
    [pytest.param(*each, id=each[-1], marks=() if each[-1].startswith(OFTEN) else pytest.mark.prove) for each in SETS],
)
def test_a_copy_is_known_and_guarded(
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    form: str,
    column: LabelColumn,
    name: str,
    changes: list[str],
) -> None:
    source = shared_data / file
    xml = shared_data / "gmner" / "xml" if form == "gmner" else None

    def load(path: str) -> Dataset:
        return load_split(path, missing_image="keep", label_column=column, xml=xml)

    published = load(f"{form}:{source}")
    copies = {"published": published}
    for change in changes:
        path = tmp_path / change / "mine.txt"
        path.parent.mkdir()
        path.write_bytes(CHANGES[change](source.read_bytes().replace(b"\r\n", b"\n")))
        copies[change] = load(f"{form}:{path}")
    converted = tmp_path / "converted.jsonl"
    arguments = [f"{form}:{source}", str(converted), "--missing-image", "keep", "--label-column", column]
    assert exit_code(monkeypatch, "convert", *arguments) == 0
    if len(changes) > 1:
        copies["convert"] = load(str(converted))
    converted.write_bytes(b"\xef\xbb\xbf" + converted.read_bytes().rstrip(b"\n").replace(b"\n", b"\r\n"))
    copies["convert, then crlf, mark and no last newline"] = load(str(converted))
    assert {change: copy.known for change, copy in copies.items()} == dict.fromkeys(copies, name)
    for copy in copies.values():
        [leak] = guard([copy], [published], "allow").overlaps
        assert (leak.trained, leak.evaluated) == (name, name)
        assert leak.num_by_id == leak.num_same_text == len(leak.leaking) == len(published.examples)
