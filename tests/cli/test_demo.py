from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from browser import browser
from command import exit_code

from instruct_mner.data.loading import load_split
from instruct_mner.quickstart.demo_folder import MARKER
from instruct_mner.schema.records import Prediction
from instruct_mner.scoring import score_spans


def run(monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    return exit_code(monkeypatch, "demo", "--output", folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo, in a folder where one lay already."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "old").write_text("old")
    (folder / MARKER).write_text("")
    (folder / "notes.txt").write_text("mine")
    size = ["--posts", "32", "--test-posts", "16", "--no-serve"]
    command = [sys.executable, "-m", "instruct_mner", "demo", "--output", str(folder), *size]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder


@pytest.mark.slow
def test_the_whole_way(folder: Path) -> None:
    said = (folder / "stdout").read_text()
    assert str(folder / "index.html") in said
    assert "given perfect spans and a perfectly seen picture" in said
    assert "never seen" in (folder / "stderr").read_text()
    page = (folder / "index.html").read_text(encoding="utf-8")
    data = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert data["runs"] == ["starter, zero-shot", "fine-tuned"]
    assert len(data["posts"]) == 16
    assert not (folder / "run" / "old").exists()
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "run" / "adapter" / "mner.json").is_file()
    gold = load_split(str(folder / "data" / "test.jsonl")).examples
    for name, source in (("before", "own"), ("before", "none"), ("after", "own"), ("after", "shuffled")):
        lines = (folder / "predictions" / name / f"{source}.jsonl").read_text(encoding="utf-8").splitlines()
        f1 = score_spans(gold, [Prediction.model_validate_json(line) for line in lines]).micro.score.f1
        assert f"{100 * f1:.1f}" in page


@pytest.mark.slow
def test_the_page_in_a_browser(folder: Path, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        tab.open((folder / "index.html").as_uri(), width=390)
        assert tab.run("document.querySelectorAll('.picture img').length") > 0
        assert tab.run("document.getElementById('count').textContent") == "16 of 16 posts"
        assert tab.complaints == []


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
