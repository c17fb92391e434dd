"""A folder to start from: a config that says all it can, with the dozen as data or data of the user."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.errors import ConfigError
from instruct_mner.files import exclusive, replacing
from instruct_mner.quickstart.example_posts import write_dozen
from instruct_mner.quickstart.own_data import DEV_SHARE, OwnData, import_own_data

_CONFIG = "config.yaml"
_TEMPLATE = Path(__file__).with_name("config.yaml.jinja")


DEFAULT_MODEL = "HuggingFaceTB/SmolVLM-256M-Instruct"


def write_project(folder: Path, *, model: str = DEFAULT_MODEL) -> tuple[Path, Path]:
    """Write ``config.yaml``, ``posts.jsonl`` and ``pictures/``.

    Args:
        folder: A folder that is new or empty. Paths in the config begin with it as it is given: they are looked
            for from where ``finetune`` is started.
        model: Hub name or folder of the base model.

    Returns:
        The paths of the config and of the posts.

    Raises:
        ConfigError: The folder is a file, or holds something.
        DataError: It cannot be written.
    """
    _check_new(folder)
    with exclusive(folder), _whole(folder):
        posts = write_dozen(folder)
        return _write_config(folder, model, posts=posts), posts


def write_own_project(
    folder: Path,
    data: str,
    options: ImportOptions,
    *,
    model: str = DEFAULT_MODEL,
    share: float = DEV_SHARE,
    seed: int = 0,
) -> tuple[Path, OwnData]:
    """Write ``config.yaml`` for data of the user, which are imported into the folder; see :func:`write_project`.

    Args:
        folder: A folder that is new or empty.
        data: File or folder of any kind, as ``import`` takes it.
        options: Options of the import.
        model: Hub name or folder of the base model.
        share: Share of the posts that choose the checkpoint, where the data have no splits.
        seed: Seed of that choice.

    Raises:
        ConfigError: The folder is a file or holds something, or an option is wrong.
        DataError: Anything wrong in the data; nothing is written.
    """
    _check_new(folder)
    # Not the folder, which the import locks itself.
    with exclusive(folder / _CONFIG), _whole(folder):
        own = import_own_data(data, folder, options, share=share, seed=seed)
        return _write_config(folder, model, own=own), own


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Leave nothing in a folder that was new or empty where the block fails, so that the same command can follow."""
    was_there = folder.is_dir() and not any(folder.glob(".*.lock"))
    try:
        yield
    except BaseException:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix != ".lock":
                path.unlink(missing_ok=True)
        if not was_there:
            with suppress(OSError):  # it holds the lock, and goes with that
                folder.rmdir()
        raise


def _check_new(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a new or empty folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty, and init overwrites nothing; name a new or empty folder")


def _write_config(folder: Path, model: str, *, posts: Path | None = None, own: OwnData | None = None) -> Path:
    # A config is no HTML; paths are quoted as JSON, which YAML reads.
    environment = Environment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    environment.filters["quoted"] = lambda path: json.dumps(str(path), ensure_ascii=False)
    config = folder / _CONFIG
    with replacing(config) as file:
        template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
        file.write(template.render(folder=folder, posts=posts, own=own, model=model, default_model=DEFAULT_MODEL))
    return config
