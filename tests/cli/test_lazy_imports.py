"""Libraries are imported when they are needed: after the first line of output, and not at all for a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_server import serving

from instruct_mner.testing.posts import make_posts

LIBRARIES = ("torch", "transformers", "trl", "peft", "datasets", "vllm")

# Runs the command line, and writes to the file named first which libraries were imported when the first line of
# standard error came, and which at the end.
_PROGRAM = """
import json, resource, sys
from pathlib import Path

report, names = Path(sys.argv.pop(1)), sys.argv.pop(1).split(",")

def imported():
    return [name for name in names if name in sys.modules]

class FirstLine:
    def __init__(self, stream):
        self.stream, self.line, self.imported, self.written = stream, "", None, ""
    def write(self, text):
        self.written += text
        self.line += text if "\\n" not in self.line else ""
        if self.imported is None and "\\n" in self.line:
            self.imported = imported()
        return self.stream.write(text)
    def __getattr__(self, name):
        return getattr(self.stream, name)

sys.stderr = first = FirstLine(sys.stderr)
from instruct_mner.cli import main
try:
    main()
except SystemExit:
    pass
line = first.line.partition("\\n")[0]
used = resource.getrusage(resource.RUSAGE_SELF)
report.write_text(json.dumps({
    "line": line, "at_first_line": first.imported, "at_end": imported(), "written": first.written,
    "seconds": used.ru_utime + used.ru_stime,
}))
"""


def run(folder: Path, *arguments: object) -> dict[str, object]:
    """The first line of standard error, and the libraries that a fresh Python had imported then and at the end."""
    command: list[str | Path] = [
        sys.executable,
        "-c",
        _PROGRAM,
        folder / "report.json",
        ",".join(LIBRARIES),
        *map(str, arguments),
    ]
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("finetune", "nowhere.yaml"), "finetune: reading nowhere.yaml"),
        (("tag", "nowhere.jsonl", "--model", "m"), "tag: loading m"),
        (("serve", "nowhere"), "serve: checking nowhere"),
        (("calibrate", "nowhere", "dev.jsonl"), "calibrate: loading nowhere"),
    ],
)
def test_the_first_line_comes_before_any_library(arguments: tuple[str, ...], line: str, tmp_path: Path) -> None:
    report = run(tmp_path, *arguments)
    assert str(report["line"]).startswith(line)
    assert report["at_first_line"] == []


def test_a_server_is_asked_without_torch(tmp_path: Path) -> None:
    posts, output = make_posts(tmp_path), tmp_path / "predictions.jsonl"
    with serving() as server:
        report = run(
            tmp_path, "tag", posts, "-o", output, "--endpoint", server.url, "--model", "m",
            "--labels", "PER,LOC,ORG,MISC", "--examples", posts, "--num-examples", 2, "--choose", "nearest",
        )  # fmt: skip
        assert server.bodies
    assert output.read_bytes().count(b"\n") == 6
    assert report["at_end"] == []


def test_verbs_on_data_need_no_torch(tmp_path: Path) -> None:
    posts = make_posts(tmp_path)
    for arguments in (
        ("validate", posts),
        ("convert", posts, tmp_path / "out.jsonl"),
        ("synth", tmp_path / "synthetic", "--num", 2),
        ("init", tmp_path / "project"),
        ("evaluate", posts, posts),
    ):
        assert run(tmp_path, *arguments)["at_end"] == [], arguments
    assert (tmp_path / "out.jsonl").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tag", "posts.jsonl", "--model", "starter", "--labels", "A,A"), "given twice"),
        (("tag", "posts.jsonl", "--model", "starter", "-o", "posts.jsonl"), "exists"),
        (("tag", "missing.jsonl", "--model", "starter"), "1 of 1 pictures are missing"),
        (("tag", "broken.jsonl", "--model", "starter"), "post 'b': "),
        (("finetune", "config.yaml", "--set", "data.train=broken.jsonl"), "post 'b': "),
        (("finetune", "config.yaml", "--set", "labels=[ORG]"), "outside the label set"),
    ],
)
def test_what_needs_no_weights_is_checked_before_torch(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    entity = {"start": 0, "end": 3, "text": "Ann", "label": "PER"}
    for name, pictures in (("posts", []), ("missing", ["no.png"]), ("broken", ["b.png"])):
        post = {"id": name[0], "text": "Ann left", "images": pictures, "entities": [entity]}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(post) + "\n")
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "config.yaml").write_text("model: starter\ndata: {train: posts.jsonl}\noutput: run\n")
    report = run(tmp_path, *arguments)
    assert message in str(report["written"])
    assert report["at_end"] == []
    assert float(str(report["seconds"])) < 3  # 1.5 on a quiet machine; two are allowed there
