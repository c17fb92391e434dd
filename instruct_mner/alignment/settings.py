"""The ``alignment`` section of a run's config: which objectives are on, and how strongly; all are off by default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from instruct_mner.schema.record import Record


class ObjectiveSettings(Record):
    """What every objective has.

    Attributes:
        weight: Its share in the loss.
        warmup_steps: The weight grows from 0 over so many steps: heads begin at random, and so do their gradients.
    """

    weight: float = Field(default=1.0, ge=0)
    warmup_steps: int = Field(default=0, ge=0)


class CrossViewSettings(ObjectiveSettings):
    """ITA: the answer without the picture is tied to the answer with it.

    Attributes:
        weight: Of the divergence; 0 leaves plain training on both views, the control of this objective.
        text_weight: Of the answer loss on the post without picture and context.
        temperature: Softens both distributions.
        teacher: What the teacher is shown beside the post; the student is shown neither.
    """

    text_weight: float = Field(default=1.0, ge=0)
    # Source: ITA (NAACL 2022), 2 on Twitter-2017, 4 on Twitter-2015; a vocabulary has a longer tail than 9 BIO tags.
    temperature: float = Field(default=2.0, gt=0)
    teacher: Literal["image", "context", "both"] = "image"


class InformationBottleneckSettings(ObjectiveSettings):
    """SMNER's global alignment: what of the picture has nothing to do with the text does not survive.

    Attributes:
        layer: States that enter this decoder layer, from 1; ``null`` is the middle. Late layers prepare the next
            token and hold little of the picture; early ones have hardly mixed.
        width: Of the distributions.
        mutual_information: Weight of the estimate that is raised.
        divergence: Weight of the divergence that is lowered.
        store: Earlier pictures that stand in as negatives, so that batches of one work.
    """

    weight: float = Field(default=0.1, ge=0)
    layer: int | None = Field(default=None, ge=1)
    width: int = Field(default=256, ge=1)
    # Source: SMNER (LREC-COLING 2024), 0.1 and 0.001 beside an answer loss of weight 1; here both times ten, because
    # `weight` is a tenth.
    mutual_information: float = Field(default=1.0, ge=0)
    divergence: float = Field(default=0.01, ge=0)
    store: int = Field(default=64, ge=0)


class RegionSpanGroundingSettings(ObjectiveSettings):
    """SMNER's local alignment: each mention looks at its regions.

    Attributes:
        through: ``attention`` supervises the decoder's own attention and adds no parameter; ``head`` is the paper's
            cross-attention beside the decoder.
        layer: ``head``: states that enter this layer. ``attention``: the first of two neighbouring layers, where a
            mention looks at its regions; in the next the answer looks at the mention. ``null`` is the middle.
        heads: ``attention``: which heads of both layers.
        around: ``attention``: ``mention``: its last token looks; ``neighbours``: any token between the mentions before
            and after it, as far as the answer looks at it, since the words that say where may come after the name.
        width: ``head``: of its cross-attention.
        negatives: ``head``: spans that are no entity, for each post.
        longest: ``head``: words of the longest of them.
    """

    # Source: 0.2 to 0.3 broke the plateau of a small model built from scratch, by `attention`.
    weight: float = Field(default=0.25, ge=0)
    through: Literal["head", "attention"] = "attention"
    layer: int | None = Field(default=None, ge=1)
    heads: tuple[int, ...] = Field(default=(0, 1), min_length=1)
    around: Literal["mention", "neighbours"] = "mention"
    width: int = Field(default=256, ge=1)
    negatives: int = Field(default=8, ge=0)
    longest: int = Field(default=8, ge=1)


class GenerativeSettings(ObjectiveSettings):
    """BGA-MNER: each modality is generated from the other, so that a post without picture gets one from its text.

    Attributes:
        layers: States that enter these decoder layers, one to three; ``null`` is a third and two thirds of the way.
        grid: Rows and columns of the generated picture.
        width: Of the generators.
        temperature: Softens both sides of the generation loss.
        generation: Weight of the generation losses.
        cycle: Weight of the cycles.
        generated_share: Share of posts that are also answered from their generated picture; 0 leaves no generator to
            tag with.
        generated_weight: Weight of that answer loss.
    """

    layers: tuple[int, ...] | None = Field(default=None, min_length=1, max_length=3)
    grid: int = Field(default=4, ge=1)
    width: int = Field(default=256, multiple_of=4, ge=4)
    # Source: code derived from BGA-MNER (ACM MM 2023): temperature 6, both weights 0.001.
    temperature: float = Field(default=6.0, gt=0)
    generation: float = Field(default=0.001, ge=0)
    cycle: float = Field(default=0.001, ge=0)
    generated_share: float = Field(default=0.25, ge=0, le=1)
    generated_weight: float = Field(default=1.0, ge=0)


class AlignmentSettings(Record):
    """The objectives; ``null`` is off, ``{}`` is on with its defaults.

    Attributes:
        cross_view: ITA.
        information_bottleneck: SMNER, global.
        region_span_grounding: SMNER, local.
        generative: BGA-MNER.
        head_learning_rate: Of the heads, which are thrown away after training; ``null`` is that of the run.
    """

    cross_view: CrossViewSettings | None = None
    information_bottleneck: InformationBottleneckSettings | None = None
    region_span_grounding: RegionSpanGroundingSettings | None = None
    generative: GenerativeSettings | None = None
    head_learning_rate: float | None = Field(default=None, gt=0)

    @property
    def is_on(self) -> bool:
        """Whether any objective is on."""
        return any(True for _ in self.each())

    def each(self) -> Iterator[tuple[str, ObjectiveSettings]]:
        """Names and settings of those that are on."""
        for name in ("cross_view", "information_bottleneck", "region_span_grounding", "generative"):
            settings = getattr(self, name)
            if settings is not None:
                yield name, settings

    def without_use(self, *, shows_pictures: bool, shows_context: bool, batch_size: int) -> list[str]:
        """What a run lacks that an objective needs.

        Args:
            shows_pictures: Whether posts are shown with their pictures.
            shows_context: Whether they are shown with what is said of them.
            batch_size: Posts in one forward.
        """
        problems = []
        needs_picture = [name for name, _ in self.each() if name != "cross_view"]
        teacher = None if self.cross_view is None else self.cross_view.teacher
        if teacher in {"image", "both"}:
            needs_picture.append(f"cross_view with teacher: {teacher}")
        if needs_picture and not shows_pictures:
            problems.append(f"{', '.join(needs_picture)} need(s) pictures, max_images: 0 shows none")
        if teacher in {"context", "both"} and not shows_context:
            problems.append(f"cross_view with teacher: {teacher} needs context: true")
        bottleneck = self.information_bottleneck
        if bottleneck is not None and bottleneck.store == 0 and batch_size == 1:
            problems.append("information_bottleneck has no negatives: raise its store, or optimizer.batch_size")
        return problems

    @model_validator(mode="after")
    def _check(self) -> AlignmentSettings:
        if self.head_learning_rate is not None and not self.is_on:
            raise ValueError("head_learning_rate: no objective is on, so there are no heads")
        return self
