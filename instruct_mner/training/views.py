"""The views of a batch beside the one that the answer loss is computed from, as the collator makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from instruct_mner.alignment.objective import Needs
from instruct_mner.alignment.seeded_noise import chance
from instruct_mner.alignment.token_spans import Row
from instruct_mner.models.generated_pictures import blank_picture, with_grid
from instruct_mner.models.loading import LoadedModel
from instruct_mner.training.sample import Shown
from instruct_mner.training.span_alignment import Annotator

if TYPE_CHECKING:
    from instruct_mner.training.conversation import Batch, Conversations


class ViewCollator:
    """Makes what the objectives need of a batch, and nothing else.

    Args:
        needs: Of all objectives together.
        loaded: The model.
        conversations: How posts are asked about in the answer's own forward.
        annotator: Finds things in tokens.
        collate: TRL's collator.
        grid: Rows and columns of generated pictures.
    """

    def __init__(
        self,
        needs: Needs,
        loaded: LoadedModel,
        conversations: Conversations,
        annotator: Annotator,
        collate: Callable[[list[dict[str, Any]]], Batch],
        grid: int,
    ) -> None:
        self._needs = needs
        self._loaded = loaded
        self._conversations = conversations
        self._bare = replace(conversations, context=False)
        self._annotator = annotator
        self._collate = collate
        self._grid = grid

    def __call__(self, shown: Sequence[Shown], batch: Mapping[str, Any]) -> dict[str, Any]:
        """``rows`` of the batch itself; ``text``, ``teacher`` and ``generated``, each a batch, where needed."""
        views: dict[str, Any] = {"rows": self._rows(shown, batch) if self._needs.rows else ()}
        origin = [number for number, post in enumerate(shown) if self._shows_more(post)]
        if not self._needs.text_view or not origin:
            return views
        chosen = [shown[number] for number in origin]
        texts = [self._bare_post(post) for post in chosen]
        views["origin"] = tuple(origin)
        views["text"] = self._view(texts)
        views["text_rows"] = self._rows(texts, views["text"])
        teacher = self._needs.teacher
        if teacher is not None and teacher != (self._conversations.max_images > 0, self._conversations.context):
            taught = [self._taught(post, *teacher) for post in chosen]
            views["teacher"] = self._view(taught)
            views["teacher_rows"] = self._rows(taught, views["teacher"])
        share = self._needs.generated_share
        generated = [number for number, post in enumerate(texts) if chance(post.key, "generated").random() < share]
        if generated:
            views["generated_origin"] = tuple(generated)
            views["generated"] = self._generated([texts[number] for number in generated])
        return views

    def _shows_more(self, shown: Shown) -> bool:
        context = self._conversations.context and shown.example.context is not None
        return bool(shown.row["images"]) or context

    def _view(self, shown: Sequence[Shown]) -> Batch:
        return self._collate([dict(post.row) for post in shown])

    def _rows(self, shown: Sequence[Shown], batch: Mapping[str, Any]) -> tuple[Row, ...]:
        return self._annotator.rows(shown, batch, self._loaded.image_token_id)

    def _bare_post(self, shown: Shown) -> Shown:
        """Neither picture nor context; the answer says of no entity where it is seen."""
        example = shown.example.without_images().model_copy(update={"context": None})
        return replace(shown, example=example, row=self._bare.row(example, (), shown.labels))

    def _taught(self, shown: Shown, pictures: bool, context: bool) -> Shown:
        conversations = replace(self._conversations, context=context)
        example = shown.example if pictures else shown.example.without_images()
        row = conversations.row(example, shown.paths if pictures else (), shown.labels)
        return replace(shown, example=example, row=row)

    def _generated(self, texts: Sequence[Shown]) -> Batch:
        rows = [self._bare.asked(post.example, [blank_picture()], post.labels) for post in texts]
        batch = self._collate([dict(row) for row in rows])
        return with_grid(batch, self._loaded, self._grid, padding_side="right")
