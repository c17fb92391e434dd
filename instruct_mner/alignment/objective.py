"""An alignment objective: what it needs, and what it sees of a training batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.alignment.sample_tokens import SampleTokens
    from instruct_mner.models.hooks import AttentionInputs


@dataclass(frozen=True)
class Needs:
    """What an objective must be given beside the last states of the answer's own forward.

    Attributes:
        rows: Where mentions, words and answers stand.
        layers: States that enter these decoder layers, in the view with the picture.
        attention_layers: Queries and keys of these layers, from 0, in the view with the picture.
        picture: What the projector made of the picture.
        text_view: The bare post: a forward of its own.
        text_answer: Its last states; without, the forward ends with the last of ``text_layers``.
        text_layers: States that enter these decoder layers, in that view.
        teacher: What a teacher is shown beside the post, pictures and context; ``None`` needs no teacher.
        generated_share: Share of posts that are also answered from a generated picture, each a forward of its own.
    """

    rows: bool = False
    layers: tuple[int, ...] = ()
    attention_layers: tuple[int, ...] = ()
    picture: bool = False
    text_view: bool = False
    text_answer: bool = False
    text_layers: tuple[int, ...] = ()
    teacher: tuple[bool, bool] | None = None
    generated_share: float = 0.0


@dataclass(frozen=True)
class View:
    """One forward of the model over posts.

    Attributes:
        states: ``(batch, tokens, width)``, the decoder's last.
        inputs: ``input_ids``, ``attention_mask``, ``labels`` and the pictures.
        rows: Where things stand in it; none where no objective asked.
        layers: ``(batch, tokens, width)`` that entered a decoder layer; the number of layers names the last states.
        attention: Queries and keys of a layer.
        picture: ``(batch, tokens, features)``: what entered the decoder, and after it what DeepStack adds at the image
            tokens of some families; 0 there at other tokens.
    """

    states: Tensor
    inputs: Mapping[str, Tensor]
    rows: tuple[SampleTokens, ...] = ()
    layers: Mapping[int, Tensor] = field(default_factory=dict)
    attention: Mapping[int, AttentionInputs] = field(default_factory=dict)
    picture: Tensor | None = None


class GeneratedView(Protocol):
    """Posts that are answered from a generated picture."""

    @property
    def rows(self) -> Sequence[int]:
        """Which rows of the text view they are."""

    def answer_loss(self, pictures: Tensor) -> Tensor:
        """The answer loss of these posts.

        Args:
            pictures: ``(posts, cells, features)``.
        """


@dataclass(frozen=True)
class AlignmentBatch:
    """What an objective sees of a training batch.

    Attributes:
        image: The view that the answer loss is computed from, with all that is shown of a post.
        text: The bare posts of it that are shown with anything else; ``None`` where there are none, or no one asked.
        origin: Which row of ``image`` each row of ``text`` is.
        teacher: Last states of what the teacher is shown, row for row with ``text``, without gradient; ``None`` where
            it is shown what ``image`` is.
        generated: Posts to answer from a generated picture.
        output_embedding: From last states to logits.
        num_tokens: Answer tokens of ``image`` by which the answer loss is divided, for one forward of the step.
    """

    image: View
    text: View | None = None
    origin: tuple[int, ...] = ()
    teacher: View | None = None
    generated: GeneratedView | None = None
    output_embedding: object = None
    num_tokens: float = 1.0

    @property
    def states(self) -> Tensor:
        """``(batch, tokens, width)``, the last states of the very forward that the answer loss is computed from."""
        return self.image.states

    @property
    def inputs(self) -> Mapping[str, Tensor]:
        """The batch as the collator made it."""
        return self.image.inputs


class Objective(Protocol):
    """One auxiliary loss.

    Attributes:
        name: Prefix of its log lines.
        weight: Its share in the loss.
        warmup_steps: The weight grows from 0 over so many steps.
        needs: What is to be computed for it.
    """

    name: str
    weight: float
    warmup_steps: int
    needs: Needs

    def __call__(self, batch: AlignmentBatch) -> tuple[Tensor, Mapping[str, float]]:
        """The loss, a mean over the examples of the batch, and named metrics."""
