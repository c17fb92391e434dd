"""A post as the model is trained on it in one view of one epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from instruct_mner.prompting.conversation import Message, answer_text, post_text
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Entity, Example

if TYPE_CHECKING:
    from PIL.Image import Image


class PromptCompletion(TypedDict):
    """A row in TRL's prompt/completion form, with opened pictures."""

    prompt: list[Message]
    completion: list[Message]
    images: list[Image]


@dataclass(frozen=True, kw_only=True)
class TrainingSample:
    """A post as the model is trained on it in one view.

    Attributes:
        example: Post, augmented.
        labels: Label set of its prompt.
        row: Prompt, gold answer and opened pictures, in TRL's form.
        key: Key of its random numbers: seed, epoch and id.
        paths: Files of its pictures.
        annotated: All of its entities, also those of types that its label set leaves out.
    """

    example: Example
    labels: LabelSet
    row: PromptCompletion
    key: str
    paths: Sequence[Path] = ()
    annotated: Sequence[Entity] = ()

    @property
    def post_text(self) -> str:
        """Part of the prompt that holds the text of the post."""
        return post_text(self.row["prompt"])

    @property
    def answer(self) -> str:
        """Gold answer."""
        return answer_text(self.row["completion"])

    @property
    def picture_hash(self) -> int:
        """Hash of the pixels of all pictures, from 1 to 2**63 - 1, the same for copies of a file; 0 without any."""
        if not self.row["images"]:
            return 0
        hashed = blake2b(digest_size=8)
        for image in self.row["images"]:
            hashed.update(f"{image.mode} {image.size}".encode())
            hashed.update(image.tobytes())
        return int.from_bytes(hashed.digest(), "big") >> 1 or 1

    @property
    def image_sizes(self) -> list[tuple[int, int]]:
        """Width and height of each picture in pixels."""
        return [image.size for image in self.row["images"]]
