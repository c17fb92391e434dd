"""Documents: files and links that they name exist, and the rooms of the architecture are those of the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from instruct_mner import __version__

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/ARCHITECTURE.md",
    "docs/GUIDE.md",
    "docs/METHODS.md",
    "prompts/README.md",
    "adapters/README.md",
    "eval/README.md",
)
# A path that begins with one of these is a path of the repository.
_TOPS = ("instruct_mner", "tests", "eval", "docs", "prompts", "adapters", ".github", ".ci")
# Only the wheel has these two; pyproject.toml says what becomes of prompts/ and adapters/.
_IN_THE_WHEEL = ("instruct_mner/_prompts", "instruct_mner/_adapters")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def named_paths(text: str) -> list[str]:
    """Paths of the repository that stand between backticks or in commands."""
    pattern = rf"(?<![\w./-])((?:{'|'.join(map(re.escape, _TOPS))})/[\w./-]*[\w/-])"
    return [path for path in re.findall(pattern, text) if path not in _IN_THE_WHEEL]


def links(text: str) -> list[str]:
    """Targets of links and pictures in Markdown, outside of code blocks."""
    return re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a Markdown file, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def modules_as_paths(text: str) -> list[str]:
    """Files of the modules that ``python -m`` names."""
    return [name.replace(".", "/") for name in re.findall(r"python -m ((?:eval|instruct_mner)[\w.]*)", text)]


def test_paths_links_and_modules_are_found() -> None:
    text = "`tests/x.py`, `a/tests/y.py`, [here](docs/z.md#part) and\n```\npython -m eval.prove [x](y)\n```\n"
    assert named_paths(text) == ["tests/x.py", "docs/z.md"]
    assert links(text) == ["docs/z.md#part"]
    assert modules_as_paths(text) == ["eval/prove"]
    assert anchors("# A `b`: c\n## D e\n") == {"a-b-c", "d-e"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    missing = [path for path in named_paths(text) if not (ROOT / path).exists()]
    modules = [path for path in modules_as_paths(text) if not (ROOT / path).is_dir()]
    assert not missing
    assert not [path for path in modules if not (ROOT / f"{path}.py").is_file()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_inside_of_the_repository_leads_somewhere(document: str) -> None:
    path = ROOT / document
    for target in links(path.read_text(encoding="utf-8")):
        if re.match(r"https?://|mailto:", target):
            assert not target.startswith("http://")
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


def test_contributing_and_architecture_name_files() -> None:
    for document in ("CONTRIBUTING.md", "docs/ARCHITECTURE.md"):
        assert len(set(named_paths((ROOT / document).read_text(encoding="utf-8")))) >= 20


def test_names_in_contributing_stand_in_the_files_beside_them() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w./]+)` \| (.+) \|$", text, re.MULTILINE)
    names = [
        (path, name)
        for path, change in rows
        if (ROOT / path).is_file()
        for name in re.findall(r"`(\w+)`", change)
        if not (ROOT / path).name.startswith("test_")
    ]
    assert len(names) >= 8
    assert not [(path, name) for path, name in names if name not in (ROOT / path).read_text(encoding="utf-8")]


def test_the_architecture_lists_the_rooms_in_the_order_of_their_imports() -> None:
    [contract] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = [name for layer in contract["layers"] for name in re.split(r"\W+", layer)]
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text[text.index("## The rooms") : text.index("## Contracts")]
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| `"))
    assert re.findall(r"`instruct_mner/(\w+)(?:/|\.py)`", rows) == layers


def test_every_room_has_a_rule() -> None:
    rooms = {path.parent.name for path in (ROOT / "instruct_mner").glob("*/__init__.py")}
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert not [room for room in sorted(rooms) if f"| `instruct_mner/{room}/` |" not in text]


def test_the_readme_names_all_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    paragraph = (ROOT / "README.md").read_text(encoding="utf-8").partition("\nExtras: ")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`\s\(", paragraph)) == set(extras)


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"] == __version__
    assert citation["license"] == project["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_changelog_has_this_version_with_its_date() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    dated = [re.fullmatch(r"(\d+\.\d+\.\d+) – (\d{4}-\d{2}-\d{2})", heading) for heading in headings[1:]]
    assert all(dated)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], str(citation["date-released"])) in [match.groups() for match in dated if match]


def test_the_workflow_and_the_hook_run_what_they_promise() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    steps = [step.get("run") for job in workflow["jobs"].values() for step in job["steps"]]
    assert ".ci/run" in steps
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [hook["entry"] for repo in hooks for hook in repo["hooks"]] == ["make fix"]
    assert re.search(r"^fix:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
