from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from instruct_mner.cli import main
from instruct_mner.starter.demo import MARKER


def run(monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    monkeypatch.setattr(sys, "argv", ["instruct-mner", "demo", "--output", str(folder)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.mark.slow
def test_the_whole_way(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    # What an earlier demo left is replaced, and what somebody put beside it is not touched.
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "old").write_text("old")
    (folder / MARKER).write_text("")
    (folder / "notes.txt").write_text("mine")

    command = [sys.executable, "-m", "instruct_mner", "demo", "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert str(folder / "index.html") in done.stdout
    assert "not a tagger" in done.stdout
    assert "This is not a tagger" in done.stderr
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "This is not a tagger" in page
    assert page.count("<article") == 12
    assert page.count("<img") == 33
    assert not (folder / "run" / "old").exists()
    assert (folder / "notes.txt").read_text() == "mine"
    assert scores(folder, "before") < 0.3
    assert scores(folder, "after") >= 0.95


def scores(folder: Path, name: str) -> float:
    """F1 of what ``evaluate`` makes of the files that the demo leaves."""
    from instruct_mner.data import load_split
    from instruct_mner.records import Prediction
    from instruct_mner.scoring import score_spans, score_triples

    gold = load_split(str(folder / "posts.jsonl")).examples
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    predicted = [Prediction.model_validate_json(line) for line in lines]
    f1 = score_spans(gold, predicted).micro.score.f1
    assert score_triples(gold, predicted).gmner.score.f1 <= f1
    return f1


@pytest.mark.parametrize("taken", ["file", "folder"])
def test_what_no_demo_made_is_left_alone(
    taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    kept = folder if taken == "file" else folder / "run" / "mine"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("mine")
    assert run(monkeypatch, folder) == 2
    assert capsys.readouterr().err.startswith(f"error: --output {folder} ")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]
