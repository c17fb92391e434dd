"""The wheel: what is in it, and that a post can be tagged from it with no checkout around."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from test_readme import DOCUMENTS, shell_script

ROOT = Path(__file__).resolve().parents[1]

_TAG_FROM_WHEEL = """
import sys
from pathlib import Path
import instruct_mner
installed = Path(sys.argv.pop(1))
found = Path(instruct_mner.__file__)
assert found.is_relative_to(installed), f"{found} was imported, not the wheel's copy in {installed}"
from instruct_mner.cli import main
main()
"""


def run(*command: str | Path, folder: Path, **variables: str) -> str:
    """Standard output of a command, which must end well."""
    finished = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, folder=folder
    )  # fmt: skip
    [path] = folder.glob("*.whl")
    return path


def test_only_the_package_is_at_the_top(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"instruct_mner"}


def test_templates_and_type_marker_are_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    templates = {f"instruct_mner/_prompts/{path.name}" for path in (ROOT / "prompts").glob("*.jinja")}
    assert "instruct_mner/_prompts/tag.v1.jinja" in templates
    assert templates | {"instruct_mner/py.typed", "instruct_mner/quickstart/config.yaml.jinja"} <= names


def test_nothing_of_the_tests_or_of_the_data_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        suffixes = {Path(name).suffix for name in archive.namelist() if not name.endswith("/")}
        tops = {Path(name).parts[1] for name in archive.namelist() if len(Path(name).parts) > 1}
    assert not tops & {"tests", "eval"}
    assert not [name for name in archive.namelist() if Path(name).name.startswith(("test_", "conftest"))]
    assert not suffixes & {".pyc", ".txt.gz", ".jsonl", ".jpg"}


def test_the_wheel_is_the_starters_weights_and_at_most_a_megabyte(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tensors = {each.filename: each for each in archive.infolist() if each.filename.endswith(".safetensors")}
    assert set(tensors) == {"instruct_mner/starter/model/model.safetensors"}
    [weights] = tensors.values()
    assert wheel.stat().st_size <= weights.compress_size + 1_000_000


def test_the_package_imports_nothing_that_stays_in_the_checkout() -> None:
    imports = re.compile(r"^\s*(?:from|import) (?:eval|tests)\b", re.MULTILINE)
    files = list((ROOT / "instruct_mner").rglob("*.py"))
    assert len(files) > 100
    assert not [path for path in files if imports.search(path.read_text(encoding="utf-8"))]


@pytest.mark.slow
def test_a_post_is_tagged_from_the_installed_wheel(
    wheel: Path, tmp_path: Path, tiny_models: Callable[[str], Path]
) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target")
    run(*pip, installed, wheel, folder=elsewhere)
    text = "Jordan dunks in Chicago"
    output = run(
        sys.executable, "-c", _TAG_FROM_WHEEL, installed, "tag", "--text", text,
        "--model", tiny_models("idefics3"), "--labels", "PER,LOC",
        folder=elsewhere, PYTHONPATH=str(installed), OMP_NUM_THREADS="1",
    )  # fmt: skip
    prediction = json.loads(output)
    assert prediction["text"] == text
    for entity in prediction["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_the_readme_runs_from_the_wheel_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """The path of a newcomer: a fresh environment, the wheel, and the commands of the README."""
    fresh, programs, work = tmp_path / "fresh", tmp_path / "programs", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    run(sys.executable, "-m", "venv", "--without-pip", fresh, folder=tmp_path)
    python = fresh / "bin" / "python"
    # The dependencies are those of this environment, behind the wheel: a .pth on the path is not read again, so that
    # the editable install of the checkout stays out.
    [site] = fresh.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, wheel, folder=work)
    environment = {
        "PATH": f"{fresh / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": "", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    place = run(python, "-c", "import instruct_mner; print(instruct_mner.__file__)", folder=work, **environment)
    assert Path(place.strip()).is_relative_to(site)
    run("bash", "-c", shell_script(programs, DOCUMENTS[:1], ("run", "python")), folder=work, **environment)
    assert (work / "first" / "report.html").is_file()
