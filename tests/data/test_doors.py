"""Every file of ``shared/cases/doors`` gives what ``expected.json`` says, through the command line."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from instruct_mner.cli import main

DOORS = Path(__file__).parents[3] / "shared" / "cases" / "doors"
CASES = json.loads((DOORS / "expected.json").read_text()) if DOORS.is_dir() else []
# Others are part of another case, or read by evaluate.
_ALONE = [
    case
    for case in CASES
    if case.keys() & {"posts", "refused", "or_posts", "or_refused"} and not case["file"].startswith("predictions/")
]
FOLDERS = ("brat", "splits", "gmner_root", "gmner_namespace")


def imported(path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["instruct-mner", "import", str(path), "-o", str(out)])
    try:
        main()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def rows(path: Path) -> list[dict[str, Any]]:
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def same(post: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if post["text"] != wanted["text"]:
        return False
    if "images" in wanted and post.get("images", []) != wanted["images"]:
        return False
    if "entities" not in wanted:
        return True
    entities = post.get("entities") or []
    if len(entities) != len(wanted["entities"]):
        return False
    for entity, other in zip(entities, wanted["entities"], strict=True):
        boxes = None if "boxes" not in entity else [box["box"] for box in entity["boxes"]]
        if any(entity[key] != other[key] for key in ("start", "end", "text", "label")) or boxes != other.get("boxes"):
            return False
    return True


def check(case: dict[str, Any], code: int, error: str, posts: list[dict[str, Any]]) -> None:
    wanted, word = case.get("posts", case.get("or_posts")), case.get("refused", case.get("or_refused"))
    if code == 2:
        assert word is not None, error
        assert re.search(word, error)
        assert posts == []
        return
    assert code == 0
    assert wanted is not None, posts
    assert len(posts) == len(wanted)
    assert all(same(post, other) for post, other in zip(posts, wanted, strict=True)), posts


@pytest.mark.skipif(not CASES, reason="shared/cases/doors is not there")
@pytest.mark.parametrize("case", [pytest.param(case, id=case["file"]) for case in _ALONE])
def test_a_file_gives_what_is_expected(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    code = imported(DOORS / case["file"], out, monkeypatch)
    check(case, code, capsys.readouterr().err, rows(out) if out.exists() else [])


@pytest.mark.skipif(not CASES, reason="shared/cases/doors is not there")
@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("target", ["out.jsonl", "out"])
def test_a_folder_gives_what_is_expected(
    name: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / target
    code = imported(DOORS / name, out, monkeypatch)
    error = capsys.readouterr().err
    assert code == 0, error
    cases = [case for case in CASES if case["file"].startswith(f"{name}/") and "posts" in case]
    cases = cases[:1] if name == "brat" else cases
    wanted = [post for case in cases for post in case["posts"]]
    posts = rows(out)
    assert len(posts) == len(wanted)
    assert all(same(post, other) for post, other in zip(posts, wanted, strict=True)), posts


@pytest.mark.skipif(not CASES, reason="shared/cases/doors is not there")
def test_predictions(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = DOORS / "predictions"
    for arguments in (
        (folder / "columns.txt",),
        (folder / "columns.txt",) * 2,
        (folder / "gold.jsonl", folder / "columns.txt"),
    ):
        monkeypatch.setattr(sys, "argv", ["instruct-mner", "evaluate", *map(str, arguments), "--json"])
        try:
            main()
        except SystemExit as stopped:
            assert not stopped.code, capsys.readouterr().err
        report = json.loads(capsys.readouterr().out)
        assert report["micro"]["f1"] == pytest.approx(1.0)
    monkeypatch.setattr(
        sys, "argv", ["instruct-mner", "evaluate", str(folder / "gold.jsonl"), str(folder / "no_entities.jsonl")]
    )
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    assert "entities" in capsys.readouterr().err
