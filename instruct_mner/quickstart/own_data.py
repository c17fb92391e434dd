"""Data of the user for a first run: imported, with a development split where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from instruct_mner.data.formats import find_files
from instruct_mner.data.importing.brat import split_folders
from instruct_mner.data.importing.run import import_and_split, import_file
from instruct_mner.data.importing.writing import Imported, ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError, MnerError
from instruct_mner.schema.labels import LabelSet
from instruct_mner.training.trainable import labels_of, untaught

DEV_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """Data of the user, as files of a project.

    Attributes:
        train: Posts to train on.
        dev: Posts that choose the checkpoint; ``None`` where there are none.
        test: Posts that are evaluated on; ``None`` where there are none.
        labels: Types of the entities of all of them.
        notes: Lines for the user on what was read.
    """

    train: Path
    dev: Path | None
    test: Path | None
    labels: LabelSet
    notes: tuple[str, ...]


def import_own_data(data: str, folder: Path, options: ImportOptions, *, share: float, seed: int) -> OwnData:
    """Import data into a folder: its own splits, or all posts with a share of them held out.

    Args:
        data: File or folder of any kind, as ``import`` takes it.
        folder: Folder of the files that are written.
        options: Options of the import.
        share: Share of the posts that choose the checkpoint, in 0..1; 0 holds none out.
        seed: Seed of that choice.

    Raises:
        ConfigError: An option is wrong.
        DataError: Anything wrong in the data, or they hold no training posts or no entity; nothing is written.
    """
    if has_splits(data):
        result = import_file(data, folder, options)
    elif share:
        result = import_and_split(data, folder, options, share, seed)
    else:
        result = import_file(data, folder / "train.jsonl", options)
    written = {name: path for name in ("train", "dev", "test") if (path := folder / f"{name}.jsonl").is_file()}
    if "train" not in written:
        raise DataError(f"{data}: holds no split for training; found: {', '.join(written) or 'none'}; name its files")
    train, *others = (load_split(str(path), missing_image="keep") for path in written.values())
    labels = labels_of(train, *others, source=data)
    notes = (*result.notes, *untaught(train, *others), _summary(result, labels))
    return OwnData(train=written["train"], dev=written.get("dev"), test=written.get("test"), labels=labels, notes=notes)


def has_splits(data: str) -> bool:
    """Return true for a folder that holds several splits."""
    if Path(data).is_file():
        return False
    try:
        return len(find_files(data)[1]) > 1
    except MnerError:
        return bool(split_folders(Path(data), []))  # of brat, or nothing, which the import says


def _summary(result: Imported, labels: LabelSet) -> str:
    return f"{result.num_posts} posts with {result.num_entities} entities of the types {', '.join(labels.names)}"
