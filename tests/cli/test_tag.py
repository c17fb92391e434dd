from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.errors import ConfigError, DataError, ModelError
from instruct_mner.schema.records import Prediction
from instruct_mner.testing.posts import make_posts

RUNNER = CliRunner()


def run(*arguments: object, stdin: str | None = None) -> str:
    result = RUNNER.invoke(app, ["tag", *map(str, arguments)], catch_exceptions=False, input=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_one_post(tiny_models, tmp_path) -> None:
    make_posts(tmp_path)
    line = run(
        "--text",
        "Jordan in\nChicago",
        "--image",
        tmp_path / "0.png",
        "--model",
        tiny_models("qwen3_vl"),
        "--labels",
        "PER, LOC",
    )
    prediction = Prediction.model_validate_json(line)
    assert prediction.text == "Jordan in\nChicago"
    assert {entity.label for entity in prediction.entities} <= {"PER", "LOC"}


def test_labels_with_definitions_from_a_file(tiny_models, tmp_path) -> None:
    (tmp_path / "labels.yaml").write_text("sports team: a club\nvenue: where it plays\n")
    line = run(
        "--text",
        "Jordan in Chicago",
        "--model",
        tiny_models("idefics3"),
        "--labels",
        tmp_path / "labels.yaml",
    )
    assert {entity["label"] for entity in json.loads(line)["entities"]} <= {"sports team", "venue"}


def test_examples_and_context_for_a_base_model(tiny_models, tmp_path) -> None:
    posts = make_posts(tmp_path)
    line = run(
        "--text", "Jordan in Chicago", "--model", tiny_models("idefics3"), "--labels", "PER,LOC,ORG,MISC",
        "--examples", posts, "--num-examples", 3, "--context",
    )  # fmt: skip
    assert Prediction.model_validate_json(line).rejected.hallucinated == 0
    with pytest.raises(ConfigError, match="outside the label set"):
        run("--text", "x", "--model", tiny_models("idefics3"), "--labels", "PER", "--examples", posts)


def test_a_pipe(tiny_models, tmp_path) -> None:
    posts = make_posts(tmp_path)
    command = [
        sys.executable,
        "-m",
        "instruct_mner",
        "tag",
        "-",
        "--model",
        str(tiny_models("idefics3")),
        "--labels",
        "PER",
    ]
    result = subprocess.run(
        command, input=posts.read_text(encoding="utf-8"), capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert [json.loads(line)["id"] for line in result.stdout.split("\n")[:-1]] == [f"post-{n}" for n in range(6)]


def test_a_run_that_was_killed_goes_on(tiny_models, tmp_path, monkeypatch) -> None:
    posts = make_posts(tmp_path)
    arguments = (posts, "--model", tiny_models("idefics3"), "--labels", "PER", "-o")
    run(*arguments, tmp_path / "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_bytes().split(b"\n")
    from instruct_mner.tagging import output

    kept: list[str] = []
    original = output.PartialFile.append

    def dies(self, incoming):
        for number, prediction in enumerate(original(self, incoming)):
            kept.append(prediction.id)
            if number == 2:
                raise KeyboardInterrupt
            yield prediction

    with monkeypatch.context() as patched:
        patched.setattr(output.PartialFile, "append", dies)
        RUNNER.invoke(app, ["tag", *map(str, arguments), str(tmp_path / "killed.jsonl")])
    assert kept == ["post-0", "post-1", "post-2"]
    assert not (tmp_path / "killed.jsonl").exists()
    run(*arguments, tmp_path / "killed.jsonl")
    assert (tmp_path / "killed.jsonl").read_bytes().split(b"\n") == lines


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], ConfigError, "either INPUT or --text"),
        (["posts.jsonl", "--text", "x"], ConfigError, "either INPUT or --text"),
        (["--text", "x"], ConfigError, "--model"),
        (["--text", "x", "--model", "MODEL"], ConfigError, "--labels"),
        (["--text", "x", "--model", "MODEL", "--labels", "A,A"], ConfigError, "twice"),
        (["--text", "x", "--model", "MODEL", "--labels", "no.yaml"], ConfigError, "no such file; check the path"),
        (["--text", "x", "--model", "MODEL", "--labels", "<image>"], ConfigError, "special token"),
        (["--text", "x", "--model", "MODEL", "--labels", "PER", "--image", "no.png"], DataError, "no.png"),
        (["no.jsonl", "--model", "MODEL", "--labels", "PER"], DataError, "no such file"),
        (["--text", "x", "--model", "MODEL", "--adapter", "MODEL"], ModelError, "no adapter"),
    ],
)
def test_mistakes(arguments, error, message, tiny_models) -> None:
    model = str(tiny_models("idefics3"))
    given = [model if argument == "MODEL" else argument for argument in arguments]
    with pytest.raises(error, match=message):
        RUNNER.invoke(app, ["tag", *given], catch_exceptions=False)


def test_python(tiny_models, tmp_path) -> None:
    from PIL import Image

    from instruct_mner import Tagger

    make_posts(tmp_path)
    tagger = Tagger.from_pretrained(tiny_models("qwen3_vl"))
    path = tmp_path / "0.png"
    text = "Jordan dunks in Chicago"
    answers = [
        tagger.predict_entities(text, labels=["PER", "LOC"], image=image)
        for image in (path, str(path), path.read_bytes(), Image.open(path))
    ]
    assert all(answer == answers[0] for answer in answers)
    for entity in answers[0]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert 0 <= entity["score"] <= 1
    assert Path(path).exists()


def test_baselines_of_pictures(tiny_models, tmp_path) -> None:
    posts = make_posts(tmp_path)
    arguments = (posts, "--model", tiny_models("qwen3_vl"), "--labels", "PER,LOC", "--image-source")
    own, shuffled = run(*arguments, "own"), run(*arguments, "shuffled")
    for picture in tmp_path.glob("*.png"):
        picture.unlink()
    none = run(*arguments, "none")  # what is not shown is not missed
    assert len({own, shuffled, none}) == 3


def test_the_nearest_examples(tiny_models, tmp_path, monkeypatch) -> None:
    """A post finds examples among the others, never itself, and the same ones alone as among others."""
    from instruct_mner.engines.transformers import TransformersEngine

    posts = make_posts(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked: dict[str, str] = {}
    original = TransformersEngine.generate

    def listening(self, requests, **keywords):
        for request in requests:
            content = request.messages[0]["content"]
            asked[content[-1]["text"].strip().removeprefix("Post: ")] = content[0]["text"]
        return original(self, requests, **keywords)

    monkeypatch.setattr(TransformersEngine, "generate", listening)
    arguments = ("--model", tiny_models("idefics3"), "--labels", "PER,LOC,ORG,MISC", "--examples", posts)
    many = run(posts, *arguments, "--num-examples", 2, "--choose", "nearest")
    assert [json.loads(line)["id"] for line in many.split("\n")[:-1]] == [f"post-{n}" for n in range(6)]
    assert len(asked) == 6
    for text, instruction in asked.items():
        assert instruction.count("\nAnswer:\n") == 2
        assert f"Post: {text}\n" not in instruction
    before = dict(asked)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 1
    run(
        "--text",
        "Acme opens in Lagos",
        "--image",
        tmp_path / "2.png",
        *arguments,
        "--num-examples",
        2,
        "--choose",
        "nearest",
    )
    assert asked == before
    with pytest.raises(ConfigError, match="outside the label set"):
        run(posts, *arguments, "--labels", "PER", "--choose", "nearest")
