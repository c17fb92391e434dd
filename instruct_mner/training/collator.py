"""From examples to training batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instruct_mner.answers import AnswerSpec
from instruct_mner.errors import DataError, listing
from instruct_mner.images import open_image
from instruct_mner.models.loading import LoadedModel
from instruct_mner.prompting.templates import Prompt, shown_context, shown_text
from instruct_mner.schema.boxes import to_model_units
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Context, Entity, Example
from instruct_mner.training.augmentation import AugmentationSettings, augment
from instruct_mner.training.shown import VIEWS, Shown

if TYPE_CHECKING:
    from PIL.Image import Image

    from instruct_mner.training.views import ViewCollator

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
        answer = spec.render(text, entities, len(images))
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


class Collator:
    """Collates rows ``{"index": i}`` into batches.

    Tokenisation is TRL's own, prompt and completion apart; labels are those of the answer only.

    Args:
        examples: The annotated posts.
        picture_paths: Where a post's pictures lie.
        conversations: How a post becomes question and answer.
        collate: TRL's collator of prompt/completion rows.
        image_token_id: No label may sit on it.
        augmentation: How posts are changed.
        seed: Of the changes.
        views: Makes what alignment objectives need; ``None`` where there are none.

    Attributes:
        epoch: Of the changes; whoever trains sets it as an epoch begins.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        picture_paths: Callable[[Example], Sequence[Path]],
        conversations: Conversations,
        collate: Callable[[list[dict[str, Any]]], Batch],
        image_token_id: int,
        augmentation: AugmentationSettings | None = None,
        seed: int = 0,
        views: ViewCollator | None = None,
    ) -> None:
        self.epoch = 0
        self._examples = examples
        self._picture_paths = picture_paths
        self._conversations = conversations
        self._collate = collate
        self._image_token_id = image_token_id
        self._augmentation = augmentation or AugmentationSettings()
        self._seed = seed
        self._views = views

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """A batch with ``input_ids``, ``attention_mask``, ``labels`` and the processor's picture tensors."""
        shown = [self._shown(self._examples[row["index"]]) for row in rows]
        batch = self._collate([dict(post.row) for post in shown])
        on_pictures = batch["labels"][batch["input_ids"] == self._image_token_id]
        assert (on_pictures == -100).all(), "a label sits on an image token"
        if self._views is not None:
            batch[VIEWS] = self._views(shown, batch)
        return batch

    def _shown(self, example: Example) -> Shown:
        """A post as it is shown in this epoch."""
        labels = self._conversations.spec.labels
        example, labels = augment(example, labels, self._augmentation, self._seed, self.epoch)
        paths = self._picture_paths(example)
        row = self._conversations.row(example, paths, labels)
        return Shown(example, labels, row, f"{self._seed}/{self.epoch}/{example.id}", paths)


def check_trainable(examples: Sequence[Example], spec: AnswerSpec) -> None:
    """Refuses posts that cannot be trained on as they are, all at once.

    Raises:
        DataError: Posts without annotation, with labels outside the label set, with more entities than an answer
            may hold, or with entities whose boxes are not annotated although boxes are asked for.
    """
    problems = []
    for example in examples:
        if example.entities is None:
            problems.append(f"post {example.id!r} is not annotated: it has no 'entities' ([]: there is none)")
            continue
        unknown = sorted({entity.label for entity in example.entities} - set(spec.labels.names))
        if unknown:
            problems.append(
                f"post {example.id!r} has label(s) outside the label set: {', '.join(unknown)}; add them to labels"
            )
        if len(example.entities) > spec.max_entities:
            problems.append(
                f"post {example.id!r} has {len(example.entities)} entities; raise answer.max_entities, which is "
                f"{spec.max_entities}"
            )
        if spec.grounded and example.images and any(entity.boxes is None for entity in example.entities):
            problems.append(
                f"post {example.id!r} has entities without 'boxes': annotate them ([]: not visible), or set "
                "answer.grounded: false"
            )
    if problems:
        raise DataError(f"{len(problems)} problem(s) in the training data:\n{listing(problems)}")
