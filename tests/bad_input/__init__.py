"""Input that a user must mend: a table of kinds, and the files that they are made of.

The table is in the modules beside this one, by theme; ``test_bad_input.py`` runs all of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

Content = str | bytes


@dataclass(frozen=True)
class Kind:
    """One kind of bad input.

    Attributes:
        name: Of the test.
        command: What is typed, in the folder of the files. ``$IDEFICS3`` and ``$QWEN3_VL``, here and in texts of the
            files, stand for tiny models.
        files: Content by path.
        place: What the message says of where it is, as a pattern.
        remedy: What it says of what to do, or of what is expected, as a pattern.
        more: Further patterns.
        change: Makes what files cannot be made of.
        copies: Folders of the finished run (``adapter``) or of a tiny model (``$IDEFICS3``) that are copied, by the
            name of the copy; ``run`` is the whole run.
        leaves: Patterns of names that the command may leave behind; all else must be as it was.
    """

    name: str
    command: str
    files: Mapping[str, Content]
    place: str
    remedy: str
    more: tuple[str, ...] = ()
    change: Callable[[Path], object] = lambda folder: None
    copies: Mapping[str, str] = field(default_factory=dict)
    leaves: tuple[str, ...] = ()


ANN = {"start": 0, "end": 3, "text": "Ann", "label": "PER"}
"""An entity of the post."""


def post(**changes: object) -> str:
    """A line of JSONL: ``Ann in Rome``, with other fields on top."""
    return json.dumps({"id": "1", "text": "Ann in Rome", "entities": [ANN], **changes}, ensure_ascii=False) + "\n"


def marked(*entities: Mapping[str, object]) -> str:
    """The post with other entities."""
    return post(entities=list(entities))


def boxed(*box: float | str, image: int = 0, **changes: object) -> str:
    """The post with a picture and a box on it."""
    boxes = [{"image": image, "box": list(box)}]
    return post(**{"images": ["a.png"], "entities": [{**ANN, "boxes": boxes}], **changes})


def config(**changes: object) -> str:
    """A config of two steps, with other settings on top; ``...`` takes one out."""
    values: dict[str, object] = {
        "model": "$IDEFICS3",
        "data": {"train": "posts.jsonl"},
        "labels": ["PER", "LOC"],
        "optimizer": {"max_steps": 2, "batch_size": 1},
        "output": "run",
        **changes,
    }
    return yaml.safe_dump({key: value for key, value in values.items() if value is not ...}, sort_keys=False)


def lines(*rows: str) -> str:
    """Lines of a file with columns; a space stands for the tab."""
    return "".join(row.replace(" ", "\t") + "\n" for row in rows)
