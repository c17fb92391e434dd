"""Annotated posts as the prompts and answers that a model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.images import open_image
from instruct_mner.models.description import ModelDescription
from instruct_mner.prompting.conversation import Message, PromptWriter, answer_messages
from instruct_mner.prompting.templates import Prompt
from instruct_mner.schema.boxes import to_model_units
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Entity, Example
from instruct_mner.training.sample import PromptCompletion

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class Conversations:
    """Writer of the prompts and gold answers of annotated posts.

    Attributes:
        prompt: Prompt template.
        spec: Form of the answers.
        description: Model, for its units of boxes and its special tokens.
        max_images: Largest number of pictures of a post that the model sees.
        context: Whether captions, tags and OCR of the pictures are part of the prompt.
    """

    prompt: Prompt
    spec: AnswerSpec
    description: ModelDescription
    max_images: int
    context: bool = False

    def row(self, example: Example, paths: Sequence[Path], labels: LabelSet | None = None) -> PromptCompletion:
        """Return a post in TRL's prompt/completion form, with its pictures opened.

        Args:
            example: Annotated post.
            paths: Files of its pictures.
            labels: Other labels than those of the spec.

        Raises:
            DataError: A picture cannot be opened.
        """
        return self.row_with_images(example, [open_image(path) for path in paths[: self.max_images]], labels)

    def row_with_images(
        self, example: Example, images: Sequence[Image], labels: LabelSet | None = None
    ) -> PromptCompletion:
        """Return a post in TRL's prompt/completion form.

        Args:
            example: Annotated post.
            images: Opened pictures, at most ``max_images``.
            labels: Other labels than those of the spec.
        """
        prompt, completion = self.written(example, [image.size for image in images], labels)
        return {"prompt": prompt, "completion": completion, "images": list(images)}

    def written(
        self, example: Example, sizes: Sequence[tuple[int, int]], labels: LabelSet | None = None
    ) -> tuple[list[Message], list[Message]]:
        """Return the messages of prompt and answer.

        Args:
            example: Annotated post.
            sizes: Width and height of its pictures, at most ``max_images``.
            labels: Other labels than those of the spec.
        """
        spec, writer = self.spec.with_labels(labels), self._writer
        entities = [self._in_model_units(entity, sizes) for entity in example.gold]
        answer = codec.render(spec, writer.text(example), entities, len(sizes))
        return writer.messages(example, len(sizes), spec), answer_messages(answer)

    def text(self, example: Example) -> str:
        """Return the text of a post as the model reads it, of the same length."""
        return self._writer.text(example)

    def text_begins(self, example: Example, num_images: int) -> int | None:
        """Return the first character of the text in its part of the prompt; ``None`` where it is not there."""
        return self._writer.text_begins(example, num_images)

    @property
    def _writer(self) -> PromptWriter:
        return PromptWriter(
            prompt=self.prompt,
            special_tokens=self.description.special_tokens,
            several_pictures=self.max_images > 1,
            context=self.context,
        )

    def _in_model_units(self, entity: Entity, sizes: Sequence[tuple[int, int]]) -> Entity:
        if not self.spec.grounded or not entity.boxes:
            return entity
        boxes = []
        for box in entity.boxes:
            if box.image < len(sizes):
                size, convention = sizes[box.image], self.description.family.box_convention
                units = to_model_units(box.box, size, convention, resized=self.description.resized(size))
                boxes.append(box.model_copy(update={"box": units}))
        return entity.model_copy(update={"boxes": tuple(boxes)})
