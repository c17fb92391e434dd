"""Objectives of a run and the views that they need, made for its model."""

from __future__ import annotations

from collections.abc import Sequence

from instruct_mner.alignment.build import Shape, build_objectives, together
from instruct_mner.alignment.objective import Objective
from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.models.blank_processor import blank_processor
from instruct_mner.models.generated_pictures import num_features
from instruct_mner.models.loading import LoadedModel
from instruct_mner.training.batch import Collate
from instruct_mner.training.conversation import Conversations
from instruct_mner.training.span_alignment import SpanAnnotator
from instruct_mner.training.trl_arguments import prompt_completion_collator
from instruct_mner.training.views import ViewCollator


def make_objectives(
    alignment: AlignmentSettings, loaded: LoadedModel, spec: AnswerSpec, seed: int
) -> tuple[Objective, ...]:
    """Return the objectives that are on, for a model.

    Args:
        alignment: Section ``alignment`` of the config.
        loaded: Model.
        spec: Form of the answers.
        seed: Seed of their heads.
    """
    return tuple(build_objectives(alignment, heads_shape(loaded, spec), seed)) if alignment.is_on else ()


def make_views(
    objectives: Sequence[Objective],
    alignment: AlignmentSettings,
    loaded: LoadedModel,
    conversations: Conversations,
    annotator: SpanAnnotator,
    collate: Collate,
) -> ViewCollator | None:
    """Return the maker of the views that objectives need; ``None`` where there are no objectives.

    Args:
        objectives: Objectives of the run.
        alignment: Section ``alignment`` of the config.
        loaded: Model.
        conversations: Writer of the prompts of the answer loss.
        annotator: Finder of mentions, words and regions in tokens.
        collate: TRL's collator.
    """
    if not objectives:
        return None
    return ViewCollator(
        needs=together(objectives),
        loaded=loaded,
        conversations=conversations,
        annotator=annotator,
        collate=collate,
        collate_blank=prompt_completion_collator(blank_processor(loaded.processor)) if loaded.family.sees else collate,
        grid=1 if alignment.generative is None else alignment.generative.grid,
    )


def heads_shape(loaded: LoadedModel, spec: AnswerSpec) -> Shape:
    """Return the numbers of a model and a label set that shape the heads of objectives."""
    text = loaded.model.config.get_text_config()
    return Shape(
        width=text.hidden_size,
        num_layers=text.num_hidden_layers,
        num_heads=text.num_attention_heads,
        num_types=len(spec.labels),
        features=num_features(loaded),
        image_token_id=loaded.image_token_id,
    )
