"""From examples to training batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instruct_mner.schema.records import Example
from instruct_mner.training.augmentation import AugmentationSettings, augment
from instruct_mner.training.conversation import Batch, Conversations, Row
from instruct_mner.training.sample import VIEWS, Shown

if TYPE_CHECKING:
    from instruct_mner.training.views import ViewCollator


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
