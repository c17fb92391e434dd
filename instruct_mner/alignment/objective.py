"""Interface of alignment objectives: their needs, and their view of a training batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.alignment.sample_tokens import SampleTokens
    from instruct_mner.models.hooks import AttentionInputs


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Inputs of an objective beside the last states of the answer's own forward.

    Attributes:
        rows: Whether positions of mentions, words and answers are needed.
        layers: Decoder layers whose incoming states are needed, in the view with the picture.
        attention_layers: Layers, from 0, whose queries and keys are needed, in the view with the picture.
        picture: Whether the output of the projector is needed.
        text_view: Whether the bare post is needed, which is a forward of its own.
        text_answer: Whether its last states are needed; without, the forward ends with the last of ``text_layers``.
        text_layers: Decoder layers whose incoming states are needed, in that view.
        teacher: Whether a teacher reads pictures, and whether it reads context; ``None`` needs no teacher.
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


@dataclass(frozen=True, kw_only=True)
class View:
    """One forward of the model over posts.

    Attributes:
        states: Last states of the decoder, ``(batch, tokens, width)``.
        inputs: Inputs of the forward: ``input_ids``, ``attention_mask``, ``labels`` and the pictures.
        rows: Positions in the tokens; empty where no objective needs them.
        layers: States that entered a decoder layer, ``(batch, tokens, width)``; the number of layers names the last
            states.
        attention: Queries and keys of a layer.
        picture: Embeddings that entered the decoder, followed by what DeepStack adds at the image tokens of some
            families (0 at other tokens), ``(batch, tokens, features)``.
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
        """Rows of the text view that these posts are."""

    def answer_loss(self, pictures: Tensor) -> Tensor:
        """Return the answer loss of these posts.

        Args:
            pictures: Generated pictures, ``(posts, cells, features)``.
        """


@dataclass(frozen=True, kw_only=True)
class AlignmentBatch:
    """Training batch as objectives see it.

    Attributes:
        image: View of the answer loss, with picture and context.
        text: Bare posts of those that have a picture or context; ``None`` where there are none, or none are needed.
        origin: Row of ``image`` for each row of ``text``.
        teacher: View of the teacher, row for row with ``text``, without gradient; ``None`` where it is ``image``.
        generated: Posts to answer from a generated picture.
        output_embedding: Function from last states to logits.
        num_tokens: Number of answer tokens of ``image`` by which the answer loss is divided, for one forward of the
            step.
        step: Number of optimizer steps before this one.
    """

    image: View
    text: View | None = None
    origin: tuple[int, ...] = ()
    teacher: View | None = None
    generated: GeneratedView | None = None
    output_embedding: object = None
    num_tokens: float = 1.0
    step: int = 0

    @property
    def states(self) -> Tensor:
        """Last states of the forward of the answer loss, ``(batch, tokens, width)``."""
        return self.image.states

    @property
    def inputs(self) -> Mapping[str, Tensor]:
        """Inputs of the forward of the answer loss."""
        return self.image.inputs


class Objective(Protocol):
    """One auxiliary loss.

    Attributes:
        name: Prefix of its metrics in the log.
        weight: Factor of the loss.
        warmup_steps: Number of steps over which the weight grows from 0.
        needs: Inputs that must be computed for it.
    """

    name: str
    weight: float
    warmup_steps: int
    needs: Needs

    def __call__(self, batch: AlignmentBatch) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss, a mean over the examples of the batch, and named metrics."""
