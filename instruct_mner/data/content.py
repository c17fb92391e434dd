"""Hash of the content of a data set: the same for all files that hold the same posts with the same gold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from instruct_mner.schema.records import Example


@dataclass(frozen=True)
class ContentHashes:
    """Hashes of posts, whatever their order, their format and the names of their pictures.

    Attributes:
        content: Hash of ids, texts, entities and boxes.
        text: The same without the boxes.
    """

    content: str
    text: str


def hash_content(examples: Iterable[Example]) -> ContentHashes:
    """Hash the posts of a split."""
    content, text = [], []
    for example in examples:
        post = hashlib.sha256(json.dumps([example.id, example.text], ensure_ascii=True).encode())
        gold = None if example.entities is None else [[each.start, each.end, each.label] for each in example.entities]
        post.update(json.dumps(gold, ensure_ascii=True).encode())
        text.append(post.digest())
        boxes = [
            None if each.boxes is None else [[box.image, *map(float, box.box)] for box in each.boxes]
            for each in example.entities or ()
        ]
        if any(each is not None for each in boxes):
            post.update(json.dumps(boxes).encode())
        content.append(post.digest())
    return ContentHashes(_joined(content), _joined(text))


def _joined(digests: list[bytes]) -> str:
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()
