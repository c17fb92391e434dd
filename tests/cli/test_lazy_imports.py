"""Libraries are imported when they are needed: after the first line of output, and not at all for a server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_server import serving

from instruct_mner.models.locations import STARTER_FOLDER
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


# In one fresh Python: each command with the part of its message, and the libraries that were imported up to then.
_CHECKS = """
import contextlib, io, json, resource, sys
from instruct_mner.cli import main

def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

names, reports, begun = sys.argv[1].split(","), [], 0.0
for command in sys.argv[2:]:
    sys.argv = ["instruct-mner", *command.split()]
    code, written = 0, io.StringIO()
    with contextlib.redirect_stderr(written), contextlib.redirect_stdout(written):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    reports.append([code, written.getvalue(), [name for name in names if name in sys.modules], used() - begun])
    begun = used()
print(json.dumps(reports))
"""
WRONG = {
    "tag posts.jsonl --model starter --labels A,A": "given twice",
    "tag posts.jsonl --model starter --labels nowhere.yaml": "there is no such file",
    "tag posts.jsonl --model starter -o posts.jsonl": "exists",
    "tag posts.jsonl --model starter -o full": "is a folder",
    "tag missing.jsonl --model starter": "1 of 1 pictures are missing",
    "tag broken.jsonl --model starter": "post 'b': ",
    "tag nowhere.jsonl --model starter": "there is no such file",
    "tag --text Ann --image no.png --model starter": "there is no such picture",
    "tag --text Ann --image b.png --model starter": "not a picture",
    "tag posts.jsonl --model starter --examples nowhere.jsonl": "there is no such file",
    "tag posts.jsonl --adapter nowhere": "there is no such folder",
    "tag posts.jsonl --model smollm2": "give labels",
    "tag posts.jsonl --model smollm2 --labels A -o posts.jsonl": "exists",
    "finetune config.yaml --set data.train=broken.jsonl": "post 'b': ",
    "finetune config.yaml --set data.train=missing.jsonl": "1 of 1 pictures are missing",
    "finetune config.yaml --set data.dev=missing.jsonl": "1 of 1 pictures are missing",
    "finetune config.yaml --set data.train=cut.jsonl": "can be said by no answer",
    "finetune config.yaml --set labels=[ORG]": "outside the label set",
    "finetune config.yaml --set output=full": "not empty",
    "finetune config.yaml --set prompt=nowhere": "no prompt template",
    "finetune config.yaml --set model=smollm2 --set labels=[ORG]": "outside the label set",
    "finetune config.yaml --set data.train=broken.jsonl --dry-run": "post 'b': ",
    "calibrate nowhere posts.jsonl": "holds no adapter",
    "calibrate tuned missing.jsonl": "1 of 1 pictures are missing",
    "calibrate tuned broken.jsonl": "post 'b': ",
    "calibrate tuned posts.jsonl --plot full/mine/a.png": "cannot be written",
    "context posts.jsonl posts.jsonl --captions starter": "exists",
    "context missing.jsonl out.jsonl --captions starter": "1 of 1 pictures are missing",
    "context broken.jsonl out.jsonl --captions starter": "post 'b': ",
    "context posts.jsonl out.jsonl --captions a/b": "not in the cache",
    "context posts.jsonl out.jsonl --tags a/b": "not in the cache",
    "context posts.jsonl out.jsonl --tags full": "no config.json",
    "merge nowhere out": "has no mner.json",
    "merge tuned full": "exists",
    "tag posts.jsonl --model ./no/model --labels A": "model ./no/model cannot be loaded",
    "tag posts.jsonl --model a/b --labels A": "not in the cache",
    "tag posts.jsonl --model full --labels A": "no config.json",
    "finetune config.yaml --set model=a/b": "not in the cache",
    "finetune config.yaml --set model=full": "no config.json",
    "serve --model a/b": "not in the cache",
    "serve nowhere": "there is no such folder",
    "serve full": "holds no adapter",
    "serve --model starter --host 0.0.0.0": "lets others ask",
    "serve --model starter --engine-log none/a.log": "cannot be written",
    "serve --model starter --cors nowhere": "write an origin",
    "serve nowhere --print-command": "there is no such folder",
    "ui nowhere": "there is no such folder",
    "tag posts.jsonl --adapter nowhere --engine vllm": "there is no such folder",
    "demo --output full": "no demo made",
    "convert posts.jsonl posts.jsonl": "exists",
    "convert missing.jsonl out.jsonl": "1 of 1 pictures are missing",
    "import posts.jsonl -o posts.jsonl": "exists",
    "init full": "not empty",
}


def test_what_needs_no_weights_is_checked_before_torch(tmp_path: Path) -> None:
    """Wrong labels, outputs, pictures and data, in every verb that takes them: told within two seconds of processor."""
    for name, pictures, end in (("posts", [], 3), ("missing", ["no.png"], 3), ("broken", ["b.png"], 3), ("cut", [], 2)):
        entity = {"start": 0, "end": end, "text": "Ann"[:end], "label": "PER"}
        post = {"id": name[0], "text": "Ann left", "images": pictures, "entities": [entity]}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(post) + "\n")
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "config.yaml").write_text("model: starter\ndata: {train: posts.jsonl}\noutput: run\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    shutil.copytree(STARTER_FOLDER, tmp_path / "tuned", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "tuned" / "model.safetensors").touch()
    finished = subprocess.run(
        [sys.executable, "-c", _CHECKS, ",".join(LIBRARIES), *WRONG],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert finished.returncode == 0, finished.stderr
    for (command, message), report in zip(WRONG.items(), json.loads(finished.stdout), strict=True):
        code, written, imported, seconds = report
        assert code == 2, command
        assert message in written, (command, written)
        assert imported == [], command
        assert seconds < 2, command
