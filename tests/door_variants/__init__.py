"""Variants of the kinds of files that were once read wrongly without a word: what was searched, and what comes out.

Each is read by ``import``. It is right, with the notes that it must give, or refused with a word of the message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Content = str | bytes | Mapping[str, str | bytes]
Gold = list[tuple[str, list[tuple[int, int, str]] | None]]

ANNA = "Anna Bell flew to Oslo"
TOKENS = ANNA.split()
TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC"]
ENTITIES = [(0, 9, "PER"), (18, 22, "LOC")]
OSLO = "Oslo and Oslo"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A file, and what ``import`` must give.

    Attributes:
        kind: Kind of misreading.
        name: Name of the variant.
        content: Content of the file, or of the files of a folder.
        file: Name of the file; empty for a folder.
        right: Text and entities of each post; ``None`` where the file is refused.
        refused: Pattern of the message; ``None`` where it is read.
        note: Pattern that a note must hold.
        pictures: Names of the pictures of the first post.
        options: Options of ``import``.
    """

    kind: str
    name: str
    content: Content
    file: str = "a.jsonl"
    right: Gold | None = None
    refused: str | None = None
    note: str | None = None
    pictures: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def rows(*each: object) -> str:
    """JSONL of rows."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in each)


def entity(start: object, end: object, label: str, **more: object) -> dict[str, object]:
    return {"start": start, "end": end, "label": label, **more}


def post(text: str, *entities: object, **more: object) -> dict[str, object]:
    return {"id": "1", "text": text, "entities": list(entities), **more}


def columns(*tags: str, separator: str = "\t", header: str = "IMGID:1\n") -> str:
    return header + "".join(f"{token}{separator}{tag}\n" for token, tag in zip(TOKENS, tags, strict=True))
