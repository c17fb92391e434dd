"""Annotated posts as the questions and answers that a model is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.images import open_image
from instruct_mner.models.loading import LoadedModel
from instruct_mner.prompting.conversation import PromptWriter, answer_messages
from instruct_mner.prompting.templates import Prompt
from instruct_mner.schema.boxes import to_model_units
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Entity, Example

if TYPE_CHECKING:
    from PIL.Image import Image


Batch = dict[str, Any]


Row = Mapping[str, Any]


@dataclass(frozen=True)
class Conversations:
    """Turns an annotated post into the question and answer that the model is trained on.

    Attributes:
        prompt: The template.
        spec: How it is answered.
        loaded: The model: its units of boxes, and what a post must not hold.
        max_images: Pictures of a post that are shown.
        context: Whether the captions, tags and OCR of the pictures are shown.
    """

    prompt: Prompt
    spec: AnswerSpec
    loaded: LoadedModel
    max_images: int
    context: bool = False

    def row(self, example: Example, paths: Sequence[Path], labels: LabelSet | None = None) -> dict[str, Any]:
        """A row in TRL's prompt/completion form, pictures opened.

        Args:
            example: The post.
            paths: Where its pictures lie.
            labels: Other labels than those of the spec.
        """
        return self.asked(example, [open_image(path) for path in paths[: self.max_images]], labels)

    def asked(self, example: Example, images: Sequence[Image], labels: LabelSet | None = None) -> dict[str, Any]:
        """The same, of pictures that are open."""
        spec, writer = self.spec.with_labels(labels), self._writer
        entities = [self._in_model_units(entity, [image.size for image in images]) for entity in example.gold]
        answer = codec.render(spec, writer.text(example), entities, len(images))
        return {
            "prompt": writer.messages(example, len(images), spec),
            "completion": answer_messages(answer),
            "images": images,
        }

    def shown_text(self, example: Example) -> str:
        """The text of a post as the model is shown it."""
        return self._writer.text(example)

    def text_begins(self, example: Example, num_images: int) -> int | None:
        """Where in its part of the question the text begins."""
        return self._writer.text_begins(example, num_images)

    @property
    def _writer(self) -> PromptWriter:
        return PromptWriter(
            prompt=self.prompt,
            special_tokens=self.loaded.special_tokens,
            several_pictures=self.max_images > 1,
            context=self.context,
        )

    def _in_model_units(self, entity: Entity, sizes: Sequence[tuple[int, int]]) -> Entity:
        if not self.spec.grounded or not entity.boxes:
            return entity
        boxes = []
        for box in entity.boxes:
            if box.image < len(sizes):
                size = sizes[box.image]
                units = to_model_units(
                    box.box, size, self.loaded.family.box_convention, resized=self.loaded.resized(size)
                )
                boxes.append(box.model_copy(update={"box": units}))
        return entity.model_copy(update={"boxes": tuple(boxes)})
