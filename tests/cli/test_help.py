"""What a user sees first: help, how soon it comes, and what is said of a mistake."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from instruct_mner import __version__
from instruct_mner.cli import app
from instruct_mner.cli.help import SectionedCommand
from instruct_mner.errors import ConfigError

VERBS = tuple(command.name for command in app.registered_commands if command.name is not None)
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


def program(*arguments: str | Path, folder: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user does."""
    return subprocess.run(
        [Path(sys.executable).parent / "instruct-mner", *arguments],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def modules_after(*arguments: str) -> list[str]:
    """The modules that a fresh Python has imported when the command line has ended."""
    command = [sys.executable, "-c", _MODULES_AFTER_HELP, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def help_of(*verb: str) -> str:
    """Help as it stands in a terminal of 80 columns."""
    result = CliRunner().invoke(app, [*verb, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output


def sections(output: str) -> dict[str, str]:
    """The text below each heading of a help."""
    parts = re.split(r"^(\S.*):\n", output, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_verb_stands_in_one_section() -> None:
    found = sections(help_of())
    assert "Commands" not in found
    listed = [
        name
        for heading, text in found.items()
        if heading != "Options"
        for name in re.findall(r"^  (\w[\w-]*)  ", text, re.MULTILINE)
    ]
    assert sorted(listed) == sorted(VERBS)
    assert {"tag", "finetune", "validate", "serve", "demo"} <= set(VERBS)


def test_sentences_about_verbs_are_whole() -> None:
    assert not [line for line in help_of().splitlines()[1:] if line.endswith(("...", "…"))]


@pytest.mark.parametrize("verb", [(), *((verb,) for verb in VERBS)])
def test_help_fits_into_80_columns(verb: tuple[str, ...]) -> None:
    assert max(map(len, help_of(*verb).splitlines())) <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_explanations_of_flags_have_half_of_the_columns(verb: str) -> None:
    for text in sections(help_of(verb)).values():
        explained = re.findall(r"^(  -.*? {2,})\S", text, re.MULTILINE)
        assert all(len(name) <= 35 for name in explained), explained


def test_options_of_a_section_stand_together() -> None:
    small = typer.Typer(rich_markup_mode=None)

    @small.command(cls=SectionedCommand)
    def verb(
        first: Annotated[int, typer.Option(help="One.", rich_help_panel="Numbers")] = 1,
        name: Annotated[str, typer.Option(help="A name.")] = "x",
        second: Annotated[int, typer.Option(help="Two.", rich_help_panel="Numbers")] = 2,
    ) -> None:
        """Do something."""

    found = sections(CliRunner().invoke(small, ["--help"]).output)
    assert re.findall(r"--\w+", found["Numbers"]) == ["--first", "--second"]
    assert "--name" in found["Options"]
    assert "--first" not in found["Options"]
    assert list(found) == ["Numbers", "Options"]


def test_options_of_tag_stand_in_sections() -> None:
    found = sections(help_of("tag"))
    assert list(found) == ["Arguments", "Posts", "Model", "Output", "Prompt", "Endpoint", "Speed and engine", "Options"]
    assert re.findall(r"--[\w-]+", found["Options"]) == ["--help"]


def test_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"instruct-mner {__version__}\n")


def test_the_shell_completes_verbs() -> None:
    finished = program(_INSTRUCT_MNER_COMPLETE="complete_bash", COMP_WORDS="instruct-mner fi", COMP_CWORD="1")
    assert finished.stdout.split() == ["finetune"]
    assert "--install-completion" in help_of()


@pytest.mark.parametrize("flag", ["--install-completion", "--show-completion"])
def test_completion_takes_no_word(flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=f"^{flag} zsh: give {flag} alone; it is for the shell in which it is typed$"):
        raise error_of(flag, "zsh")
    assert not list(tmp_path.iterdir())


def test_completion_that_cannot_be_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "bash"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").touch()
    with pytest.raises(ConfigError, match=r"^--install-completion: .*/home.*; put what --show-completion prints"):
        raise error_of("--install-completion")
    (tmp_path / "home").unlink()
    (tmp_path / "home").mkdir()
    assert "bash completion installed" in CliRunner().invoke(app, ["--install-completion"]).output


def error_of(*arguments: str) -> BaseException:
    """Return the error with which a command ends."""
    error = CliRunner().invoke(app, arguments).exception
    assert error is not None
    return error


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
    group: Any = typer.main.get_command(app)
    command = group.commands[verb]
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
    assert "Start here:" in finished.stdout + finished.stderr
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
        (["tag", "nowhere.jsonl", "--model", "x", "--labels", "PER"], "nowhere.jsonl"),
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
    labels = ["--labels", "PER"] if model == "nowhere" else []
    finished = program("tag", "--text", "Jordan dunks in Chicago", "--model", name, *labels, folder=tmp_path)
    assert finished.returncode == 2, finished.stderr
    assert said in finished.stderr
    assert finished.stderr.count("error: ") == 1
    assert "Traceback" not in finished.stderr
    assert not finished.stdout
