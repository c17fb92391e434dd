"""The views of a batch that alignment objectives need beside the one of the answer loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from instruct_mner.alignment.generative import is_usable
from instruct_mner.alignment.objective import Needs
from instruct_mner.alignment.sample_tokens import SampleTokens
from instruct_mner.alignment.seeded_noise import chance
from instruct_mner.models.generated_pictures import blank_picture, with_grid
from instruct_mner.models.loading import LoadedModel
from instruct_mner.training.batch import Batch, Collate
from instruct_mner.training.sample import TrainingSample
from instruct_mner.training.span_alignment import SpanAnnotator

if TYPE_CHECKING:
    import torch

    from instruct_mner.training.conversation import Conversations


@dataclass(frozen=True, kw_only=True)
class CollatedView:
    """One more view of posts.

    Attributes:
        batch: Inputs of a forward, with ``labels``.
        rows: Positions in its tokens, post by post.
    """

    batch: Batch
    rows: tuple[SampleTokens, ...]


@dataclass(frozen=True, kw_only=True)
class GeneratedPosts:
    """Posts that are answered from a generated picture.

    Attributes:
        batch: Inputs of a forward with places for the generated image tokens, and ``labels``.
        rows: Rows of the text view that these posts are.
    """

    batch: Batch
    rows: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class AlignmentViews:
    """All that objectives need of a batch, beside its own inputs.

    Attributes:
        rows: Positions in the tokens of the batch itself; empty where no objective needs them.
        text: Bare posts, without picture and context; ``None`` where no objective needs them.
        origin: Rows of the batch that the rows of ``text`` are.
        teacher: Posts as a teacher reads them, row for row with ``text``; ``None`` where it reads the batch itself.
        generated: Posts to answer from generated pictures; ``None`` where there are none.
    """

    rows: tuple[SampleTokens, ...] = ()
    text: CollatedView | None = None
    origin: tuple[int, ...] = ()
    teacher: CollatedView | None = None
    generated: GeneratedPosts | None = None

    def to(self, device: torch.device) -> AlignmentViews:
        """Return the same views with the inputs of all forwards on a device."""
        return replace(
            self,
            text=self.text and replace(self.text, batch=_moved(self.text.batch, device)),
            teacher=self.teacher and replace(self.teacher, batch=_moved(self.teacher.batch, device)),
            generated=self.generated and replace(self.generated, batch=_moved(self.generated.batch, device)),
        )


def _moved(batch: Batch, device: torch.device) -> Batch:
    return {name: value.to(device) for name, value in batch.items()}


class ViewCollator:
    """Maker of the views that the objectives of a run need, and of no others.

    Args:
        needs: Needs of all objectives together.
        loaded: Model.
        conversations: Writer of the prompts of the answer loss.
        annotator: Finder of mentions, words and regions in tokens.
        collate: TRL's collator.
        collate_blank: TRL's collator of posts with a blank picture each; see ``models.blank_processor``.
        grid: Number of rows and of columns of generated pictures.
    """

    def __init__(
        self,
        *,
        needs: Needs,
        loaded: LoadedModel,
        conversations: Conversations,
        annotator: SpanAnnotator,
        collate: Collate,
        collate_blank: Collate,
        grid: int,
    ) -> None:
        self._needs = needs
        self._loaded = loaded
        self._conversations = conversations
        self._bare = replace(conversations, context=False)
        self._annotator = annotator
        self._collate = collate
        self._collate_blank = collate_blank
        self._grid = grid

    def __call__(self, samples: Sequence[TrainingSample], batch: Batch) -> AlignmentViews:
        """Return the views of a batch.

        Args:
            samples: Samples of the batch.
            batch: Batch that TRL's collator made of them.
        """
        rows = self._annotator.rows(samples, batch) if self._needs.rows else ()
        origin = tuple(number for number, sample in enumerate(samples) if self._has_more_than_text(sample))
        if not self._needs.text_view or not origin:
            return AlignmentViews(rows=rows)
        chosen = [samples[number] for number in origin]
        bare = [self._bare_sample(sample) for sample in chosen]
        text = self._view(bare)
        # Of the others there is nothing to generate a picture from, or none that it could be compared with.
        usable = [number for number, row in enumerate(origin) if rows and is_usable(rows[row], text.rows[number])]
        return AlignmentViews(
            rows=rows, text=text, origin=origin, teacher=self._teacher(chosen), generated=self._generated(bare, usable)
        )

    def _has_more_than_text(self, sample: TrainingSample) -> bool:
        context = self._conversations.context and sample.example.context is not None
        return bool(sample.row["images"]) or context

    def _view(self, samples: Sequence[TrainingSample]) -> CollatedView:
        batch = self._collate([sample.row for sample in samples])
        return CollatedView(batch=batch, rows=self._annotator.rows(samples, batch))

    def _bare_sample(self, sample: TrainingSample) -> TrainingSample:
        """Return a sample without picture and context; its answer has no boxes."""
        example = sample.example.without_images().model_copy(update={"context": None})
        return replace(sample, example=example, row=self._bare.row(example, (), sample.labels))

    def _teacher(self, samples: Sequence[TrainingSample]) -> CollatedView | None:
        teacher = self._needs.teacher
        if teacher is None or teacher == (self._conversations.max_images > 0, self._conversations.context):
            return None
        return self._view([self._teacher_sample(sample, *teacher) for sample in samples])

    def _teacher_sample(self, sample: TrainingSample, pictures: bool, context: bool) -> TrainingSample:
        conversations = replace(self._conversations, context=context)
        example = sample.example if pictures else sample.example.without_images()
        row = conversations.row(example, sample.paths if pictures else (), sample.labels)
        return replace(sample, example=example, row=row)

    def _generated(self, bare: Sequence[TrainingSample], usable: Sequence[int]) -> GeneratedPosts | None:
        share = self._needs.generated_share
        rows = tuple(number for number in usable if chance(bare[number].key, "generated").random() < share)
        if not rows:
            return None
        posts = [bare[number] for number in rows]
        with_place = [self._bare.row_with_images(post.example, [blank_picture()], post.labels) for post in posts]
        batch = with_grid(self._collate_blank(with_place), self._loaded, self._grid, padding_side="right")
        return GeneratedPosts(batch=batch, rows=rows)
