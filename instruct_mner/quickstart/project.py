"""A folder to start from: a config that says all it can, and the dozen as data."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from instruct_mner.errors import ConfigError
from instruct_mner.files import exclusive, replacing
from instruct_mner.quickstart.example_posts import write_dozen

_TEMPLATE = Path(__file__).with_name("config.yaml.jinja")


def write_project(folder: Path) -> tuple[Path, Path]:
    """Write ``config.yaml``, ``posts.jsonl`` and ``pictures/``.

    Args:
        folder: A folder that is new or empty. Paths in the config begin with it as it is given: they are looked
            for from where ``finetune`` is started.

    Returns:
        The paths of the config and of the posts.

    Raises:
        ConfigError: The folder is a file, or holds something.
        DataError: It cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a new or empty folder")
    with exclusive(folder):
        return _write(folder)


def _write(folder: Path) -> tuple[Path, Path]:
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty, and init overwrites nothing; name a new or empty folder")
    posts = write_dozen(folder)
    # A config is no HTML; paths are quoted as JSON, which YAML reads.
    environment = Environment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    environment.filters["quoted"] = lambda path: json.dumps(str(path), ensure_ascii=False)
    config = folder / "config.yaml"
    with replacing(config) as file:
        template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
        file.write(template.render(folder=folder, posts=posts))
    return config, posts
