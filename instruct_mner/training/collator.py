"""Collation of annotated posts into training batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from instruct_mner.models.processor_errors import named_processor_errors
from instruct_mner.schema.records import Example
from instruct_mner.training.augmentation import AugmentationSettings, augment
from instruct_mner.training.batch import VIEWS, Batch, Collate
from instruct_mner.training.conversation import Conversations
from instruct_mner.training.sample import TrainingSample

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.training.views import AlignmentViews, ViewCollator


class Collator:
    """Collator of rows ``{"index": i}``.

    Tokenisation is TRL's own, prompt and completion apart; labels are those of the answer only.

    Args:
        examples: Annotated posts.
        picture_paths: Function from a post to the files of its pictures.
        conversations: Writer of prompts and gold answers.
        collate: TRL's collator.
        image_token_id: Id of an image token; no label may sit on it.
        augmentation: Changes of posts from epoch to epoch; by default none.
        seed: Seed of the changes.
        views: Maker of the views that alignment objectives need; ``None`` where there are no objectives.

    Attributes:
        epoch: Epoch of the changes, from 0; set by the training loop as an epoch begins.
    """

    def __init__(
        self,
        *,
        examples: Sequence[Example],
        picture_paths: Callable[[Example], Sequence[Path]],
        conversations: Conversations,
        collate: Collate,
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

    def __call__(self, rows: Sequence[Mapping[str, int]]) -> dict[str, Tensor | AlignmentViews]:
        """Return a batch: ``input_ids``, ``attention_mask``, ``labels``, the picture tensors, and any other views."""
        samples, batch = self.collated(rows)
        views = {} if self._views is None else {VIEWS: self._views(samples, batch)}
        return {**batch, **views}

    def inputs(self, rows: Sequence[Mapping[str, int]]) -> Batch:
        """Return a batch without other views."""
        return self.collated(rows)[1]

    def with_boxes(self, most: int) -> Iterator[int]:
        """Yield the places of posts with a box, among the first ``most`` posts."""
        for index, example in enumerate(islice(self._examples, most)):
            if any(entity.boxes for entity in example.gold) and self._picture_paths(example):
                yield index

    def collated(self, rows: Sequence[Mapping[str, int]]) -> tuple[list[TrainingSample], Batch]:
        """Return the samples of rows, and their batch without other views."""
        samples = [self._sample(self._examples[row["index"]]) for row in rows]
        posts = ", ".join(repr(sample.example.id) for sample in samples)
        with named_processor_errors([image for each in samples for image in each.row["images"]], f" of posts {posts}"):
            batch = self._collate([sample.row for sample in samples])
        on_pictures = batch["labels"][batch["input_ids"] == self._image_token_id]
        assert (on_pictures == -100).all(), "a label sits on an image token"
        return samples, batch

    def _sample(self, example: Example) -> TrainingSample:
        annotated = example.gold
        example, labels = augment(example, self._conversations.spec.labels, self._augmentation, self._seed, self.epoch)
        paths = self._picture_paths(example)
        return TrainingSample(
            example=example,
            labels=labels,
            row=self._conversations.row(example, paths, labels),
            key=f"{self._seed}/{self.epoch}/{example.id}",
            paths=paths,
            annotated=annotated,
        )
