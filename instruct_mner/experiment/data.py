"""Data of an experiment: a published set by its name, or a path; its splits, and their identity by hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from instruct_mner.data.formats import find_files
from instruct_mner.data.yaml_files import read_yaml
from instruct_mner.errors import ConfigError
from instruct_mner.schema.record import Record

_SETS = Path(__file__).with_name("sets.yaml")


class PublishedSet(Record):
    """A published set.

    Attributes:
        title: Name for people.
        known: Beginnings of the names that its files are known by.
        format: Name of its reader; ``None`` where the content tells it.
        source: Address of the files.
        files: Files of its folder.
        config: Settings of a config that belong to the set.
    """

    title: str
    known: tuple[str, ...]
    format: str | None = None
    source: str = Field(alias="from")
    files: str
    config: dict[str, object] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Splits of the data, each as DATA.

    Attributes:
        train: Posts to train on.
        dev: Posts that choose the checkpoint; ``None`` where there are none.
        test: Posts that are scored.
        name: Name of the published set that was asked for; ``None`` for a path.
    """

    train: str
    dev: str | None
    test: str
    name: str | None


def published_sets() -> Mapping[str, PublishedSet]:
    """Return all published sets by name."""
    return {name: PublishedSet.model_validate(value) for name, value in read_yaml(_SETS).items()}


def set_known_as(known: str | None) -> str | None:
    """Return the name of the published set to which a file belongs; ``None`` where it is of none.

    Args:
        known: Name that the file is known by, by its hash.
    """
    for name, each in published_sets().items():
        if known is not None and known.startswith(each.known):
            return name
    return None


def find_splits(data: str, folder: Path | None) -> Splits:
    """Find train, dev and test.

    Args:
        data: Name of a published set, or DATA with the splits, as a folder or ``format:folder``.
        folder: Folder of a published set; by default ``data/NAME``.

    Raises:
        ConfigError: The set is not there, or lacks a split that is needed.
        DataError: There is no such path.
    """
    published = published_sets().get(data)
    if published is None and folder is not None:
        raise ConfigError(f"--data goes with the name of a published set ({', '.join(published_sets())}), not a path")
    place = data
    if published is not None:
        folder = folder or Path("data") / data
        if not folder.is_dir():
            raise ConfigError(
                f"{data}: {folder} is not there; get {published.files} from {published.source}, and name their folder "
                "with --data (pictures: --images)"
            )
        place = f"{published.format}:{folder}" if published.format else str(folder)
    form, files = find_files(place)
    lacking = [split for split in ("train", "test") if split not in files]
    if lacking:
        raise ConfigError(f"{place}: an experiment needs train and test, there is no {' and no '.join(lacking)}")
    named = {split: f"{form}:{path}" for split, path in files.items()}
    return Splits(
        train=named["train"], dev=named.get("dev"), test=named["test"], name=None if published is None else data
    )
