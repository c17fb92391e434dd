"""Bad input, a kind a test: one message with place and remedy, exit code 2, and nothing is written.

Every kind is typed as a user would, and goes through the whole command line.
"""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import Kind, configs, formats, imports, models, pictures, predictions, rows

from instruct_mner import cli

KINDS = (
    *rows.KINDS,
    *formats.KINDS,
    *imports.KINDS,
    *pictures.KINDS,
    *configs.KINDS,
    *predictions.KINDS,
    *models.KINDS,
)
# One message; Typer begins its own, on flags, with a capital after the usage.
MESSAGE = re.compile(r"^(?:error|Error): (.*)", re.DOTALL | re.MULTILINE)

Families = Callable[[str], Path]


@pytest.fixture(scope="session")
def finished_run(tiny_models: Families, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps on the tiny Idefics3."""
    from runs import QUIET

    from instruct_mner.training.config import load_config
    from instruct_mner.training.finetune import finetune

    folder = tmp_path_factory.mktemp("finished")
    (folder / "posts.jsonl").write_text(models.POST)
    (folder / "config.yaml").write_text(models.CONFIG.replace("$IDEFICS3", str(tiny_models("idefics3"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder / finetune(load_config(Path("config.yaml")), QUIET)


@pytest.fixture(autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the hub, or leaves anything in its cache."""
    import datasets
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.name) for kind in KINDS])
def test_one_message_with_place_and_remedy(
    kind: Kind,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def resolved(text: str) -> str:
        for family in ("idefics3", "qwen3_vl"):
            if f"${family.upper()}" in text:
                text = text.replace(f"${family.upper()}", str(request.getfixturevalue("tiny_models")(family)))
        return text

    for target, source in kind.copies.items():
        run = request.getfixturevalue("finished_run") if not source.startswith("$") else Path()
        folder = Path(resolved(source)) if source.startswith("$") else run if source == "run" else run / source
        shutil.copytree(folder, tmp_path / target)
    for name, content in kind.files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else resolved(content).encode())
    kind.change(tmp_path)
    before = snapshot(tmp_path)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["instruct-mner", *shlex.split(resolved(kind.command))])
    # Loggers of libraries that hold the standard error of an earlier test complain of it.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main()

    said = capsys.readouterr()
    assert ended.value.code == 2, said
    assert "Traceback" not in said.out + said.err
    [message] = MESSAGE.findall(said.err)
    message = " ".join(message.split()) if said.err.startswith("Usage") else message
    for pattern in (kind.place, kind.remedy, *kind.more):
        assert re.search(pattern, message, re.DOTALL), f"no {pattern!r} in: {message}"
    assert "\nerror:" not in message.lower(), "one message"
    assert "pydantic" not in message
    after = snapshot(tmp_path)
    left = {name for name in after.keys() - before.keys() if not any(re.fullmatch(each, name) for each in kind.leaves)}
    assert not left, "nothing is written"
    assert {name: after.get(name) for name in before} == before


def test_there_are_many_kinds_each_of_its_own() -> None:
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names)
    assert len({(kind.command, repr(sorted(kind.files.items())), kind.remedy) for kind in KINDS}) == len(KINDS)
    assert len(KINDS) >= 350
