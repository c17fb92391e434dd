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
from instruct_mner.prompting.templates import Prompt, shown_context, shown_text
from instruct_mner.schema.boxes import to_model_units
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Context, Entity, Example

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
        spec = self.spec.with_labels(labels)
        text = self.shown_text(example)
        entities = [self._in_model_units(entity, [image.size for image in images]) for entity in example.gold]
        messages = self.prompt.messages(
            spec,
            text,
            len(images),
            several_pictures=self.max_images > 1,
            context=self._context(example),
        )
        answer = codec.render(spec, text, entities, len(images))
        completion = [{"role": "assistant", "content": [{"type": "text", "text": answer}]}]
        return {"prompt": messages, "completion": completion, "images": images}

    def shown_text(self, example: Example) -> str:
        """The text of a post as the model is shown it."""
        return shown_text(example.text, self.loaded.special_tokens)

    def text_begins(self, example: Example, num_images: int) -> int | None:
        """Where in its part of the question the text begins."""
        return self.prompt.text_begins(self.shown_text(example), num_images, self._context(example))

    def _context(self, example: Example) -> Context | None:
        return shown_context(example.context, self.loaded.special_tokens) if self.context else None

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
