"""Objectives made from settings: their layers, heads that depend on the seed alone, and their needs together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from instruct_mner.alignment.attention_grounding import AttentionGrounding
from instruct_mner.alignment.build import Shape, build_objectives, resolved, together
from instruct_mner.alignment.objective import Needs
from instruct_mner.alignment.region_span_grounding import HeadGrounding
from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.errors import ConfigError

SHAPE = Shape(width=8, num_layers=6, num_heads=4, num_types=3, features=16, image_token_id=99)
EVERYTHING: dict[str, Any] = {
    "cross_view": {"teacher": "both"},
    "information_bottleneck": {"width": 4},
    "region_span_grounding": {"through": "head", "width": 4},
    "generative": {"width": 4, "grid": 1},
}


def settings_of(values: dict[str, Any]) -> AlignmentSettings:
    return AlignmentSettings.model_validate(values)


@pytest.mark.parametrize(
    ("num_layers", "middle", "thirds"), [(6, 3, (2, 4)), (24, 12, (8, 16)), (2, 1, (1,)), (1, 1, (1,))]
)
def test_layers_that_are_not_given_are_the_middle_and_both_thirds(
    num_layers: int, middle: int, thirds: tuple[int, ...]
) -> None:
    settings = resolved(settings_of(EVERYTHING), replace(SHAPE, num_layers=num_layers))
    assert settings.information_bottleneck is not None
    assert settings.region_span_grounding is not None
    assert settings.generative is not None
    assert settings.information_bottleneck.layer == settings.region_span_grounding.layer == middle
    assert settings.generative.layers == thirds


def test_layers_that_are_given_stay() -> None:
    given = settings_of({"information_bottleneck": {"layer": 6}, "generative": {"layers": [5, 1]}})
    assert resolved(given, SHAPE) == given


def test_all_layers_and_heads_that_the_model_has_not_are_named_at_once() -> None:
    wrong = settings_of(
        {
            "information_bottleneck": {"layer": 7},
            # The second hop is in a later layer, so that the last layer cannot be the first of the two.
            "region_span_grounding": {"layer": 6, "heads": [3, 4, -1], "second_layer": 6, "second_heads": [0, 4, 1]},
            "generative": {"layers": [2, 8]},
        }
    )
    with pytest.raises(ConfigError) as caught:
        resolved(wrong, SHAPE)
    assert str(caught.value).splitlines() == [
        "6 setting(s) to mend:",
        "  alignment.region_span_grounding.heads: 4, -1; the model has heads 0 to 3",
        "  alignment.region_span_grounding.second_heads: 4; the model has heads 0 to 3",
        "  alignment.information_bottleneck.layer: 7; of this model, 1 to 6",
        "  alignment.region_span_grounding.layer: 6; of this model, 1 to 5",
        "  alignment.region_span_grounding.second_layer: 6; of this model, 7 to 6",
        "  alignment.generative.layers: 8; of this model, 1 to 6",
    ]


def test_a_head_beside_the_decoder_may_use_the_last_states_and_has_no_attention_heads() -> None:
    allowed = settings_of({"region_span_grounding": {"through": "head", "layer": 6, "heads": [9]}})
    assert resolved(allowed, SHAPE) == allowed


def test_only_objectives_that_are_on_are_made() -> None:
    assert build_objectives(settings_of({}), SHAPE, 0) == []
    made = build_objectives(settings_of(EVERYTHING), SHAPE, 0)
    names = ["cross_view", "information_bottleneck", "region_span_grounding", "generative"]
    assert [objective.name for objective in made] == names
    [attends] = build_objectives(settings_of({"region_span_grounding": {}}), SHAPE, 0)
    [head] = build_objectives(settings_of({"region_span_grounding": {"through": "head"}}), SHAPE, 0)
    assert isinstance(attends, AttentionGrounding)
    assert isinstance(head, HeadGrounding)
    assert attends.needs.attention_layers == (2, 3)
    assert list(attends.parameters()) == []


def test_heads_depend_on_the_seed_and_the_run_does_not_depend_on_the_heads() -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        made = build_objectives(settings_of(EVERYTHING), SHAPE, seed)
        states = torch.nn.ModuleList(made).state_dict()
        return {name: state for name, state in states.items() if state.numel() > 1}

    torch.manual_seed(5)
    first, drawn = weights(1), torch.rand(3)
    torch.manual_seed(6)
    torch.rand(100)
    again, other = weights(1), weights(2)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_needs_are_those_of_all_objectives() -> None:
    needs = together(build_objectives(settings_of(EVERYTHING), SHAPE, 0))
    assert needs == Needs(
        rows=True,
        layers=(3,),
        picture=True,
        text_view=True,
        text_answer=True,
        text_layers=needs.text_layers,
        teacher=(True, True),
        generated_share=0.25,
    )
    assert {2, 4} <= set(needs.text_layers)
    assert list(needs.text_layers) == sorted(set(needs.text_layers))
    assert together([]) == Needs()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"second_heads": [1, 2]}, "second_heads: auto chooses them with heads; name both, or none"),
        ({"heads": [1], "second_heads": [1, 2]}, "second_heads: 2 of them, but 1 heads; each has one"),
    ],
)
def test_each_head_has_one_that_reads_it(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings_of({"region_span_grounding": given})


def test_the_second_hop_is_in_the_next_layer_and_of_the_same_heads_where_none_are_named() -> None:
    grounding, other = (
        build_objectives(settings_of({"region_span_grounding": {"layer": 2, "heads": [1], **more}}), SHAPE, 0)[0]
        for more in ({}, {"second_layer": 5, "second_heads": [3]})
    )
    assert isinstance(grounding, AttentionGrounding)
    assert isinstance(other, AttentionGrounding)
    assert (grounding._first, grounding._second) == ((1, (1,)), (2, (1,)))
    assert (other._first, other._second) == ((1, (1,)), (4, (3,)))
    assert other.needs.attention_layers == (1, 4)
