"""The wheel: what is in it, and that README and notebooks run from it with no checkout around."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from test_readme import DOCUMENTS, shell_script

ROOT = Path(__file__).resolve().parents[1]


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


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout: which files are committed is not known")
def test_the_checkout_holds_no_stray_file() -> None:
    files = run("git", "ls-files", folder=ROOT).splitlines()
    assert {name.partition("/")[0] for name in files if not name.startswith(".")} == {
        "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile",
        "README.md", "SECURITY.md", "adapters", "deploy", "docs", "eval", "instruct_mner", "mkdocs.yml", "prompts",
        "pyproject.toml", "requirements-cpu.lock", "requirements-gpu.lock", "tests",
    }  # fmt: skip
    assert not [name for name in files if name.endswith((".whl", ".zip", ".gz", ".pt", ".bin", ".pkl"))]


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
    names = {"model/model.safetensors", "model_135m/parts.safetensors"}
    assert set(tensors) == {f"instruct_mner/starter/{name}" for name in names}
    assert wheel.stat().st_size <= sum(each.compress_size for each in tensors.values()) + 1_000_000


def test_the_package_imports_nothing_that_stays_in_the_checkout() -> None:
    imports = re.compile(r"^\s*(?:from|import) (?:eval|tests)\b", re.MULTILINE)
    files = list((ROOT / "instruct_mner").rglob("*.py"))
    assert len(files) > 100
    assert not [path for path in files if imports.search(path.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a fresh environment with the wheel, as a newcomer has it."""
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    # The dependencies are those of this environment, behind the wheel: a .pth on the path is not read again, so that
    # the editable install of the checkout stays out.
    [site] = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", wheel, folder=folder)
    place = run(
        folder / "bin" / "python", "-c", "import instruct_mner; print(instruct_mner.__file__)",
        folder=folder, **_environment(folder / "bin"),
    )  # fmt: skip
    assert Path(place.strip()).is_relative_to(site)
    return folder / "bin"


def _environment(programs: Path) -> dict[str, str]:
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {
        "PATH": path,
        "PYTHONPATH": "",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }


@pytest.mark.newcomer
@pytest.mark.timeout(900)
def test_the_readme_runs_from_the_wheel_in_an_empty_folder(fresh: Path, tmp_path: Path) -> None:
    """The path of a newcomer: the commands and programs of the README, in order."""
    programs, work = tmp_path / "programs", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    script = shell_script(programs, DOCUMENTS[:1], ("run", "python", "serve"))
    run("bash", "-c", script, folder=work, **_environment(fresh))
    assert (work / "first" / "report.html").is_file()


@pytest.mark.newcomer
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["tag.ipynb", "train.ipynb"])
def test_a_notebook_runs_from_the_wheel_in_an_empty_folder(name: str, fresh: Path, tmp_path: Path) -> None:
    driver, notebook = ROOT / "tests" / "run_notebook.py", ROOT / "docs" / "notebooks" / name
    last = run(fresh / "python", driver, notebook, folder=tmp_path, **_environment(fresh))
    if name == "train.ipynb":
        assert len(list((tmp_path / "own" / "run").iterdir())) > 3
    else:
        assert "<mark" in last
