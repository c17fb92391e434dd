from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import exit_code
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two posts with a picture each, one of them rotated by its EXIF orientation."""
    path = tmp_path / "set"
    (path / "images").mkdir(parents=True)
    Image.new("RGB", (40, 20)).save(path / "images" / "1.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(path / "images" / "2.jpg", exif=exif)
    entity = {"start": 0, "end": 3, "text": "Ann", "label": "PER"}
    posts = [
        {
            "id": 1,
            "text": "Ann",
            "images": ["images/1.jpg"],
            "entities": [{**entity, "boxes": [{"box": [0, 0, 40, 20]}]}],
        },
        {
            "id": 2,
            "text": "Ann",
            "images": ["images/2.jpg"],
            "entities": [{**entity, "boxes": [{"box": [0, 0, 20, 40]}]}],
        },
        {"id": 3, "text": "Ann", "entities": [{**entity, "boxes": []}]},
        {"id": 4, "text": "Ann"},
    ]
    (path / "train.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    (path / "test.txt").write_text("IMGID:9\nParis\tI-LOC\nAnn\tB-PER\n")
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    return exit_code(monkeypatch, "validate", *arguments)


def test_a_good_set(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, f"jsonl:{folder}", "--json") == 0
    output = capsys.readouterr()
    report = json.loads(output.out)
    [split] = report["datasets"]
    assert len(split.pop("sha256")) == 64
    [note] = split.pop("notes")
    assert "test.txt is not read, train.jsonl is" in note
    assert split == {
        "name": "set/train", "format": "jsonl", "path": str(folder / "train.jsonl"), "known": None, "num_posts": 4,
        "num_unannotated": 1, "num_unsayable": 0,
        "num_entities": {"tolerant": 3, "strict": 3}, "num_by_label": {"PER": 3},
        "num_with_pictures": 2, "num_missing_pictures": 0, "num_posts_lacking": 0, "num_groundable": 2,
    }  # fmt: skip
    assert (report["problems"], output.err) == ([], f"{note}\n")


def test_the_table(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, f"conll:{folder}", f"jsonl:{folder}", "--missing-image", "text") == 0
    head, columns, *lines, last = capsys.readouterr().out.splitlines()
    assert head == "split, format, sha256"
    assert columns.split("  ")[1:3] == ["posts", "with picture"]
    names, numbers, types = lines[::3], lines[1::3], lines[2::3]
    assert [name.rpartition(",")[0] for name in names] == ["set/test, conll", "set/train, jsonl"]
    assert [line.split() for line in numbers] == [["1", "1", "1", "2", "1", "-"], ["4", "2", "0", "3", "3", "2"]]
    assert types == [
        "  entities by type (tolerant): LOC 1, PER 1",
        "  entities by type (tolerant): PER 3; 1 posts not annotated",
    ]
    assert last.startswith("1 posts whose picture is missing are read as text")


def test_missing_pictures_are_an_error_after_the_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, folder / "test.txt") == 2
    output = capsys.readouterr()
    assert "set/test" in output.out
    assert output.err.startswith("error: 1 problem(s) found:\n")
    assert "1 of 1 pictures are missing (9.jpg)" in output.err
    assert "Traceback" not in output.err
    assert run(monkeypatch, folder / "test.txt", "--missing-image", "skip") == 0


def test_every_problem_is_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "train.jsonl"
    path.write_text(path.read_text().replace("[0, 0, 40, 20]", "[0, 0, 20, 40]") + "{}\n" * 30)
    (folder / "images" / "2.jpg").write_bytes((folder / "images" / "2.jpg").read_bytes()[:300])
    assert run(monkeypatch, "jsonl:nowhere", path, "--json") == 2
    output = capsys.readouterr()
    assert json.loads(output.out)["datasets"][0]["num_posts"] == 4
    assert "error: 63 problem(s) found:" in output.err
    assert "nowhere: there is no such file" in output.err
    assert f"{path}:7: text: is needed" in output.err
    assert "box [0, 0, 20, 40] of 'Ann' lies outside of images/1.jpg, 40 x 20 pixels when upright" in output.err
    assert "2.jpg: " in output.err
    assert "more of the same cause" in output.err


def test_an_unknown_format_stops_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "jsnl:x") == 2
    assert capsys.readouterr().err.startswith("error: jsnl:x: unknown format 'jsnl'; did you mean 'jsonl'?")


def test_help_is_light() -> None:
    heavy = ["numpy", "torch", "PIL", "rich", "transformers"]
    code = (
        "import sys; from instruct_mner.cli import validate, convert; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_published_sets_are_named(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [shared_data / "twitter2015" / "test.txt", shared_data / "twitter2015_repaired" / "test.txt"]
    assert run(monkeypatch, *data, "--missing-image", "text") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "twitter2015/test is Twitter-2015 (original labels), test" in lines
    assert "twitter2015_repaired/test is Twitter-2015 (repaired labels), test" in lines
    fmnerg = f"fmnerg:{shared_data / 'fmnerg' / 'test.txt'}"
    assert run(monkeypatch, fmnerg, "--missing-image", "text", "--label-column", "coarse", "--json") == 0
    [split] = json.loads(capsys.readouterr().out)["datasets"]
    assert split["known"] == "FMNERG (coarse labels), test"
    assert len(split["num_by_label"]) == 8
