"""What a user sees first: help, how soon it comes, and what is said of a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from instruct_mner.cli import app

VERBS = (
    "init", "synth", "validate", "convert", "finetune", "context", "tag", "calibrate", "evaluate", "serve", "demo",
    "env",
)  # fmt: skip
HEAVY = ("numpy", "torch", "transformers", "PIL", "rich", "pandas", "yaml", "jinja2", "datasets")

_MODULES_AFTER_HELP = """
import json, sys
from instruct_mner.cli import main
try:
    main()
except SystemExit as left:
    assert not left.code, left.code
print(json.dumps(sorted(sys.modules)))
"""


def program(*arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user does."""
    return subprocess.run(
        [Path(sys.executable).parent / "instruct-mner", *arguments],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def modules_after(*arguments: str) -> list[str]:
    """The modules that a fresh Python has imported when the command line has ended."""
    command = [sys.executable, "-c", _MODULES_AFTER_HELP, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def test_all_verbs_are_listed_and_no_other() -> None:
    names = tuple(command.name for command in app.registered_commands)
    assert set(VERBS) <= set(names)
    output = CliRunner().invoke(app, ["--help"]).output
    for name in names:
        assert f"  {name}" in output


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_verb_explains_itself_in_a_sentence(verb: str, flag: str) -> None:
    result = CliRunner().invoke(app, [verb, flag])
    assert result.exit_code == 0
    usage, _, rest = result.output.partition("\n\n")
    assert verb in usage
    sentence = rest.strip().partition("\n\n")[0]
    assert sentence[0].isupper()
    assert "." in sentence
    assert len(sentence.split()) >= 5


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_is_explained(verb: str) -> None:
    import typer

    command = typer.main.get_command(app).commands[verb]
    unexplained = [
        parameter.name for parameter in command.params if parameter.param_type_name == "option" and not parameter.help
    ]
    assert not unexplained


@pytest.mark.parametrize("arguments", [("--help",), ("finetune", "--help"), ("tag", "--help")])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules = modules_after(*arguments)
    assert "typer" in modules
    assert not [name for name in HEAVY if name in modules]


def test_without_arguments_help_is_shown() -> None:
    finished = program()
    assert "Commands:" in finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evalute"], "evalute"),
        (["tag", "--modle", "x"], "--modle"),
        (["validate"], "DATA"),
        (["validate", "nowhere.txt"], "nowhere.txt"),
        (["validate", "conl:posts.txt"], "did you mean 'conll'"),
        (["convert", "nowhere.jsonl", "out.jsonl"], "nowhere.jsonl"),
        (["finetune", "nowhere.yaml"], "nowhere.yaml"),
        (["finetune", "config.yaml"], "did you mean 'optimizer'"),
        (["finetune", "config.yaml", "--set", "epochs"], "key=value"),
        (["evaluate", "nowhere.jsonl", "predicted.jsonl"], "nowhere.jsonl"),
        (["tag", "--text", "Bob"], "--model"),
        (["tag", "--model", "x"], "INPUT"),
        (["tag", "--text", "Bob", "--model", "x", "--labels", "PER,PER"], "PER"),
        (["tag", "nowhere.jsonl", "--model", "x"], "nowhere.jsonl"),
    ],
)
def test_a_mistake_is_told_in_one_message(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model: x\ndata: {train: x}\noutput: y\noptimiser: {epochs: 1}\n")
    finished = program(*arguments, folder=tmp_path)
    assert finished.returncode == 2, finished.stderr
    assert said in finished.stderr
    assert finished.stderr.lower().count("error: ") == 1
    assert "Traceback" not in finished.stderr
    assert not finished.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("model", "said"), [("tiny", "--labels"), ("nowhere", "model nowhere cannot be loaded")])
def test_a_model_that_cannot_be_asked(
    model: str, said: str, tmp_path: Path, tiny_models: Callable[[str], Path]
) -> None:
    name = tiny_models("idefics3") if model == "tiny" else model
    finished = program("tag", "--text", "Jordan dunks in Chicago", "--model", name, folder=tmp_path)
    assert finished.returncode == 2, finished.stderr
    assert said in finished.stderr
    assert finished.stderr.count("error: ") == 1
    assert "Traceback" not in finished.stderr
    assert not finished.stdout
