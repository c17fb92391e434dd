"""The documentation site: strict, whole, and nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from instruct_mner.cli import app

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; ``--strict`` fails at a link that leads nowhere."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert len(pages) > 15
    missing = [
        page for page in pages if not (site / page.replace("index.md", "").removesuffix(".md") / "index.html").is_file()
    ]
    assert not missing


def test_references_are_made_from_the_code(site: Path) -> None:
    commands = (site / "commands" / "index.html").read_text(encoding="utf-8")
    assert all(f'id="{each.name}"' in commands for each in app.registered_commands)
    settings = (site / "settings" / "index.html").read_text(encoding="utf-8")
    assert "<code>share_prompt_prefix</code>" in settings
    assert "gradient_checkpointing" in settings
    # Every key has a meaning.
    assert not re.search(r"<td></td>\s*</tr>", settings)
    assert "expected calibration error" in (site / "numbers" / "index.html").read_text(encoding="utf-8")


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=\"https?://", text), page


def test_pictures_and_links_of_the_readme(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    assert (site / "tagged-post.png").is_file()
    assert 'src="tagged-post.png"' in start
    assert 'href="guide/#serving"' in start


def test_the_settings_of_the_site_are_yaml() -> None:
    assert yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["docs_dir"] == "docs"
