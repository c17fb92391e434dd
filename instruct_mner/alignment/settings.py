"""Section ``alignment`` of a run's config: objectives with their weights; all are off by default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from instruct_mner.schema.settings import Settings

# What the tables in eval/results were measured with.
_HEAD_LEARNING_RATE = 2e-3


class ObjectiveSettings(Settings):
    """Settings of every objective.

    Some steps of a run measure the gradient of each objective on the tuned weights against that of the answer
    (``<name>/gradient_share`` in ``metrics.jsonl``); below 1e-3 in all of them an objective trains nothing that is
    served, and above 1 in the first ones it outweighs the answer. All defaults lie between.

    Attributes:
        weight: Factor of the loss.
        warmup_steps: Number of steps over which the weight grows from 0: heads begin at random, and so do their
            gradients.
    """

    weight: float = Field(default=1.0, ge=0)
    warmup_steps: int = Field(default=0, ge=0)

    @property
    def has_effect(self) -> bool:
        """True where any of its losses has a weight."""
        return self.weight > 0


class CrossViewSettings(ObjectiveSettings):
    """ITA: the answer without the picture is aligned with the answer with it.

    The paper has 0.5 on the answer with the picture, 1 on that without, 0.5 on the divergence, and temperature 4
    (Twitter-2015, SNAP) or 2 (Twitter-2017). Here the answer with the picture always has 1, and the paper's proportions
    are 2 and 1 beside it. These outweigh it: on the starter, 1 and 1 have 2.3 times its gradient, a quarter of each
    0.6. The quarters were evaluated together with the other objectives, 1 and 1 alone; what was gained without the
    picture was lost with it. The temperature is the lower one, because a vocabulary has a longer tail than 9 BIO tags.

    Attributes:
        weight: Weight of the divergence; 0 is plain training on both views, the control of this objective.
        text_weight: Weight of the answer loss on the post without picture and context.
        temperature: Temperature of both distributions.
        teacher: Inputs of the teacher beside the post; the student gets neither.
    """

    # Source: ITA, https://arxiv.org/abs/2112.06482.
    weight: float = Field(default=0.25, ge=0)
    text_weight: float = Field(default=0.25, ge=0)
    temperature: float = Field(default=2.0, gt=0)
    teacher: Literal["image", "context", "both"] = "image"

    @property
    def has_effect(self) -> bool:
        """True where any of its losses has a weight."""
        return self.weight > 0 or self.text_weight > 0


class InformationBottleneckSettings(ObjectiveSettings):
    """SMNER's global alignment: information of the picture that is unrelated to the text is dropped.

    The paper has 0.1 on the mutual information and 0.001 on the divergence, beside an answer loss of 1. The first is
    ``weight`` times ``mutual_information`` here. The second weighs another number: in SMNER's public code the
    divergence is multiplied by a density of 768 dimensions, which is 0 in float32. Here it is the closed form, by
    dimension. On states of the starter it begins at 23, where the estimate of the mutual information is at most 1.39:
    with its full weight from the beginning the heads give up all information before they have found any. Hence it
    grows.

    Attributes:
        layer: Decoder layer, from 1, whose incoming states are used; ``null`` is the middle. Late layers prepare the
            next token and hold little of the picture; early ones have hardly mixed picture and text.
        width: Width of the distributions.
        mutual_information: Weight of the estimated mutual information, which is maximised.
        divergence: Weight of the divergence by dimension, which is minimised.
        divergence_warmup_steps: Number of steps over which the weight of the divergence grows, with the square of the
            step.
        store: Number of earlier pictures that serve as negatives where a batch has none, as a batch of one post. As
            they are of earlier weights, the estimate is then too high: two posts in a batch are better.
    """

    weight: float = Field(default=0.1, ge=0)
    layer: int | None = Field(default=None, ge=1)
    width: int = Field(default=256, ge=1)
    mutual_information: float = Field(default=1.0, ge=0)
    divergence: float = Field(default=0.2, ge=0)
    divergence_warmup_steps: int = Field(default=200, ge=0)
    store: int = Field(default=64, ge=0)

    @property
    def has_effect(self) -> bool:
        """True where any of its losses has a weight."""
        return super().has_effect and self.mutual_information + self.divergence > 0


class RegionSpanGroundingSettings(ObjectiveSettings):
    """SMNER's local alignment: each mention attends to its regions.

    The paper has the cross-attention of ``head``, with weights 1 for entities and 0.5 for spans that are none, as here.

    Attributes:
        through: Place of the supervision. ``attention`` supervises the decoder's own attention and adds no parameter;
            ``head`` is the paper's cross-attention beside the decoder.
        layer: Decoder layer, from 1; ``null`` is the middle, or with ``heads: auto`` the best. With ``head``, its
            incoming states are used. With ``attention``, a mention attends to its regions in this layer.
        heads: Attention heads of this layer, from 0, that are supervised (``attention``). ``auto`` takes the pair
            of a head that looks and one that reads it, in two layers, through which the answer sees most of the boxes
            before training, and a second one that has at least half as much, measured on up to 32 posts: which ones
            these are differs from model to model. Without boxes these are 0 and 1.
        second_layer: Layer in which the answer attends to the mention (``attention``); ``null`` is the next one, or
            with ``heads: auto`` the best.
        second_heads: Heads of that layer, as many; ``null`` are the numbers of ``heads``, or with ``auto`` the best.
        around: Tokens that attend to the regions (``attention``): the last token of the ``mention``, or
            ``neighbours``, any token between the mentions before and after it, weighted by the answer's attention,
            since the words that locate an object may come after its name.
        width: Width of the cross-attention (``head``).
        negatives: Number of spans that are no entity, for each post (``head``).
        longest: Largest number of words of these spans (``head``).
    """

    # Measured by `attention` on the first batches: the gradient is 0.3 of the answer's from the starter, 0.6 from
    # `starter-135m`, where 0.25 has 1.5. From the starter 0.25 has 4.5 points of F1 less (eval/results/alignment.md).
    weight: float = Field(default=0.1, ge=0)
    through: Literal["head", "attention"] = "attention"
    layer: int | None = Field(default=None, ge=1)
    heads: Annotated[tuple[int, ...], Field(min_length=1)] | Literal["auto"] = "auto"
    second_layer: int | None = Field(default=None, ge=1)
    second_heads: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    around: Literal["mention", "neighbours"] = "neighbours"
    width: int = Field(default=256, ge=1)
    negatives: int = Field(default=8, ge=0)
    longest: int = Field(default=8, ge=1)

    @model_validator(mode="after")
    def _check(self) -> RegionSpanGroundingSettings:
        if self.second_heads is not None and self.heads == "auto":
            raise ValueError("second_heads: auto chooses them with heads; name both, or none")
        if self.second_heads is not None and len(self.second_heads) != len(self.heads):
            raise ValueError(
                f"second_heads: {len(self.second_heads)} of them, but {len(self.heads)} heads; each has one"
            )
        return self

    @property
    def head_numbers(self) -> tuple[int, ...]:
        """Attention heads that are supervised; 0 and 1 where none was chosen for ``auto``."""
        return (0, 1) if self.heads == "auto" else self.heads

    @property
    def second_head_numbers(self) -> tuple[int, ...]:
        """Heads of the second hop."""
        return self.second_heads or self.head_numbers


class GenerativeSettings(ObjectiveSettings):
    """BGA-MNER: each modality is generated from the other, so that a post without picture gets one from its text.

    The paper's constants are not public. Code derived from it names temperature 6 and 0.001 for both weights, unchecked
    against the paper, with this divergence commented out. On the starter these give 1e-6 of the gradient of the answer,
    most of it below the epsilon of Adam: nothing is trained. The defaults are what was evaluated together with the
    other objectives.

    Attributes:
        layers: Decoder layers, one to three, whose incoming states are used; ``null`` is one third and two thirds of
            the depth.
        grid: Number of rows and of columns of the generated picture.
        width: Width of the generators.
        temperature: Temperature of both sides of the generation loss.
        generation: Weight of the generation losses.
        cycle: Weight of the cycles.
        generated_share: Share of posts that are also answered from their generated picture; 0 leaves no generator to
            tag with.
        generated_weight: Weight of that answer loss.
    """

    layers: tuple[int, ...] | None = Field(default=None, min_length=1, max_length=3)
    grid: int = Field(default=4, ge=1)
    width: int = Field(default=256, multiple_of=4, ge=4)
    # Source: BGA-MNER, https://arxiv.org/abs/2308.02570.
    temperature: float = Field(default=1.0, gt=0)
    generation: float = Field(default=0.1, ge=0)
    cycle: float = Field(default=0.01, ge=0)
    generated_share: float = Field(default=0.25, ge=0, le=1)
    generated_weight: float = Field(default=1.0, ge=0)

    @property
    def has_effect(self) -> bool:
        """True where any of its losses has a weight."""
        return super().has_effect and self.generation + self.cycle + self.generated_share * self.generated_weight > 0


class AlignmentSettings(Settings):
    """The objectives; ``null`` is off, ``{}`` is on with its defaults.

    Attributes:
        cross_view: Settings of ITA.
        information_bottleneck: Settings of SMNER's global alignment.
        region_span_grounding: Settings of SMNER's local alignment.
        generative: Settings of BGA-MNER.
        head_learning_rate: Learning rate of the heads, which begin at random and are not part of the adapter; ``null``
            is that of the run.
    """

    cross_view: CrossViewSettings | None = None
    information_bottleneck: InformationBottleneckSettings | None = None
    region_span_grounding: RegionSpanGroundingSettings | None = None
    generative: GenerativeSettings | None = None
    head_learning_rate: float | None = Field(default=_HEAD_LEARNING_RATE, gt=0)

    @property
    def is_on(self) -> bool:
        """True where any objective is on."""
        return any(True for _ in self.each())

    def each(self) -> Iterator[tuple[str, ObjectiveSettings]]:
        """Iterate over names and settings of the objectives that are on."""
        for name in ("cross_view", "information_bottleneck", "region_span_grounding", "generative"):
            settings = getattr(self, name)
            if settings is not None:
                yield name, settings

    def without_use(self, *, shows_pictures: bool, shows_context: bool, batch_size: int) -> list[str]:
        """Return the needs of objectives that a run does not meet, a line each.

        Args:
            shows_pictures: Whether any prompt holds pictures.
            shows_context: Whether any prompt holds captions, tags or OCR.
            batch_size: Number of posts in one forward.
        """
        problems = []
        needs_picture = [name for name, _ in self.each() if name != "cross_view"]
        teacher = None if self.cross_view is None else self.cross_view.teacher
        if teacher in {"image", "both"}:
            needs_picture.append(f"cross_view with teacher: {teacher}")
        if needs_picture and not shows_pictures:
            problems.append(f"{', '.join(needs_picture)} need(s) pictures, of which none is shown")
        if teacher in {"context", "both"} and not shows_context:
            problems.append(
                f"cross_view with teacher: {teacher} needs captions, tags or OCR of pictures, of which none is shown "
                "('instruct-mner context' adds them to posts, context: true shows them)"
            )
        bottleneck = self.information_bottleneck
        if bottleneck is not None and bottleneck.store == 0 and batch_size == 1:
            problems.append("information_bottleneck has no negatives: raise its store, or optimizer.batch_size")
        return problems

    @model_validator(mode="after")
    def _check(self) -> AlignmentSettings:
        if self.head_learning_rate not in {None, _HEAD_LEARNING_RATE} and not self.is_on:
            raise ValueError("head_learning_rate: no objective is on, so there are no heads")
        return self
