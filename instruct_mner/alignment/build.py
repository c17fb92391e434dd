"""Objectives of a run, made from its settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from instruct_mner.alignment.attention_grounding import AttentionGrounding
from instruct_mner.alignment.cross_view import CrossView
from instruct_mner.alignment.generative import Generative
from instruct_mner.alignment.information_bottleneck import InformationBottleneck
from instruct_mner.alignment.objective import Needs, Objective
from instruct_mner.alignment.region_span_grounding import HeadGrounding
from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.errors import ConfigError, listing

ObjectiveModule = AttentionGrounding | CrossView | Generative | HeadGrounding | InformationBottleneck


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Numbers of a model and a run that shape the heads of objectives.

    Attributes:
        width: Width of the decoder's states.
        num_layers: Number of the decoder's layers.
        num_heads: Number of its attention heads.
        num_types: Number of entity types of the run.
        features: Number of features of an image token; see ``models.generated_pictures.num_features``.
        image_token_id: Id of an image token.
    """

    width: int
    num_layers: int
    num_heads: int
    num_types: int
    features: int
    image_token_id: int


def build_objectives(settings: AlignmentSettings, shape: Shape, seed: int) -> list[ObjectiveModule]:
    """Make the objectives that are on, with heads that depend on the seed alone.

    Args:
        settings: Section ``alignment`` of the config.
        shape: Numbers of the model and the run.
        seed: Seed of the heads.

    Raises:
        ConfigError: The model has no such layer or attention head.
    """
    settings = resolved(settings, shape)
    made: list[ObjectiveModule] = []
    # Random numbers of their own, so that the rest of the run does not change with them.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.cross_view is not None:
            made.append(CrossView(settings.cross_view))
        bottleneck = None
        if settings.information_bottleneck is not None:
            layer = settings.information_bottleneck.layer
            assert layer is not None
            bottleneck = InformationBottleneck(
                settings.information_bottleneck, layer, shape.width, shape.image_token_id
            )
            made.append(bottleneck)
        if settings.region_span_grounding is not None:
            made.append(_grounding(settings, shape, bottleneck))
        if settings.generative is not None:
            layers = settings.generative.layers
            assert layers is not None
            made.append(Generative(settings.generative, layers, shape.width, shape.features, shape.image_token_id))
    return made


def _grounding(
    settings: AlignmentSettings, shape: Shape, bottleneck: InformationBottleneck | None
) -> AttentionGrounding | HeadGrounding:
    own = settings.region_span_grounding
    assert own is not None
    assert own.layer is not None
    if own.through == "attention":
        return AttentionGrounding(own, shape.image_token_id)
    sampled = None
    if bottleneck is not None and settings.information_bottleneck is not None:
        sampled = (bottleneck.sample_pictures, settings.information_bottleneck.width)
    return HeadGrounding(own, own.layer, shape.width, shape.num_types, shape.image_token_id, sampled)


def resolved(settings: AlignmentSettings, shape: Shape) -> AlignmentSettings:
    """Return the settings with every layer filled in.

    Raises:
        ConfigError: The model has no such layer or attention head; all problems at once.
    """
    middle = max(1, shape.num_layers // 2)
    thirds = tuple(dict.fromkeys(max(1, shape.num_layers * part // 3) for part in (1, 2)))
    changes: dict[str, Any] = {}
    for name, own in settings.each():
        if name in {"information_bottleneck", "region_span_grounding"} and own.layer is None:  # type: ignore[attr-defined]
            changes[name] = own.model_copy(update={"layer": middle})
        if name == "region_span_grounding":
            changes[name] = changes.get(name, own).model_copy(update={"heads": own.head_numbers})  # type: ignore[attr-defined]
        if name == "generative" and own.layers is None:  # type: ignore[attr-defined]
            changes[name] = own.model_copy(update={"layers": thirds})
    settings = settings.model_copy(update=changes)
    problems = _problems(settings, shape)
    if problems:
        raise ConfigError(f"{len(problems)} setting(s) to mend:\n{listing(problems)}")
    return settings


def _problems(settings: AlignmentSettings, shape: Shape) -> list[str]:
    problems = list[str]()
    named: list[tuple[str, int | None, int, int]] = []
    if settings.information_bottleneck is not None:
        named.append(("information_bottleneck.layer", settings.information_bottleneck.layer, 1, shape.num_layers))
    grounding = settings.region_span_grounding
    if grounding is not None:
        attends = grounding.through == "attention"
        named.append(("region_span_grounding.layer", grounding.layer, 1, shape.num_layers - attends))
        if attends:
            first = (grounding.layer or 1) + 1
            named.append(("region_span_grounding.second_layer", grounding.second_layer, first, shape.num_layers))
            problems += _wrong_heads("heads", grounding.head_numbers, shape)
            problems += _wrong_heads("second_heads", grounding.second_heads or (), shape)
    if settings.generative is not None:
        named += [("generative.layers", layer, 1, shape.num_layers) for layer in settings.generative.layers or ()]
    problems += [
        f"alignment.{name}: {layer}; of this model, {least} to {most}"
        for name, layer, least, most in named
        if layer is not None and not least <= layer <= most
    ]
    return problems


def _wrong_heads(name: str, heads: Iterable[int], shape: Shape) -> list[str]:
    wrong = ", ".join(str(head) for head in heads if not 0 <= head < shape.num_heads)
    place = f"alignment.region_span_grounding.{name}"
    return [f"{place}: {wrong}; the model has heads 0 to {shape.num_heads - 1}"] if wrong else []


def together(objectives: Sequence[Objective]) -> Needs:
    """Return the needs of all objectives together."""
    needs = [objective.needs for objective in objectives]
    return Needs(
        rows=any(need.rows for need in needs),
        layers=_union(need.layers for need in needs),
        attention_layers=_union(need.attention_layers for need in needs),
        picture=any(need.picture for need in needs),
        text_view=any(need.text_view for need in needs),
        text_answer=any(need.text_answer for need in needs),
        text_layers=_union(need.text_layers for need in needs),
        teacher=next((need.teacher for need in needs if need.teacher is not None), None),
        generated_share=max((need.generated_share for need in needs), default=0.0),
    )


def _union(layers: Iterable[Sequence[int]]) -> tuple[int, ...]:
    return tuple(sorted({layer for each in layers for layer in each}))
