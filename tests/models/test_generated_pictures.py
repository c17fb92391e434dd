"""A grid of generated image tokens in the place of a blank picture, on tokens written by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

from instruct_mner.models.generated_pictures import blank_picture, encoder_outputs, num_features, with_grid
from instruct_mner.models.loading import LoadedModel

IMAGE, PAD = 9, 0


def model(*, num_deepstack: int = 0, splits_pictures: bool = True, grid_inputs: Any = None) -> LoadedModel:
    """A model of states of two numbers, as far as generated pictures look at one."""
    text_config = SimpleNamespace(hidden_size=2)
    family = SimpleNamespace(
        num_deepstack=lambda config: num_deepstack,
        splits_pictures=splits_pictures,
        grid_inputs=grid_inputs or (lambda processor, num_pictures, rows, columns: {}),
    )
    loaded = SimpleNamespace(
        model=SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text_config)),
        family=family,
        processor="processor",
        tokenizer=SimpleNamespace(pad_token_id=PAD),
        image_token_id=IMAGE,
    )
    return cast("LoadedModel", loaded)


def batch() -> dict[str, torch.Tensor]:
    """Two posts with pictures of three and of two tokens, in one of which a line break (5) stands between them."""
    return {
        "input_ids": torch.tensor([[1, IMAGE, 5, IMAGE, 2, 3], [PAD, PAD, 4, IMAGE, IMAGE, 6]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]]),
        "labels": torch.tensor([[-100, -100, -100, -100, 2, 3], [-100, -100, -100, -100, -100, 6]]),
        "mm_token_type_ids": torch.tensor([[0, 1, 0, 1, 0, 0], [0, 0, 0, 1, 1, 0]]),
        "pixel_values": torch.zeros(2, 3),
    }


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_picture_with_all_between_its_tokens_becomes_a_grid(side: Any) -> None:
    made = with_grid(batch(), model(), 2, padding_side=side)
    first = [1, IMAGE, IMAGE, IMAGE, IMAGE, 2, 3]
    second = [4, IMAGE, IMAGE, IMAGE, IMAGE, 6]
    padding = {"input_ids": PAD, "attention_mask": 0, "labels": -100, "mm_token_type_ids": 0}

    def padded(values: list[int], name: str) -> list[int]:
        return [padding[name], *values] if side == "left" else [*values, padding[name]]

    assert made.keys() == padding.keys()
    assert made["input_ids"].tolist() == [first, padded(second, "input_ids")]
    assert made["attention_mask"].tolist() == [[1] * 7, padded([1] * 6, "attention_mask")]
    assert made["labels"].tolist() == [[-100] * 5 + [2, 3], padded([-100] * 5 + [6], "labels")]
    types = [[0, 1, 1, 1, 1, 0, 0], padded([0, 1, 1, 1, 1, 0], "mm_token_type_ids")]
    assert made["mm_token_type_ids"].tolist() == types


def test_inputs_of_the_grid_are_those_of_the_family() -> None:
    def grid_inputs(processor: str, num_pictures: int, rows: int, columns: int) -> dict[str, object]:
        assert processor == "processor"
        return {"image_grid_thw": [[1, rows, columns]] * num_pictures}

    made = with_grid(batch(), model(grid_inputs=grid_inputs), 3, padding_side="right")
    assert made["image_grid_thw"] == [[1, 3, 3], [1, 3, 3]]


def test_features_are_the_embedding_and_the_additions_of_deepstack() -> None:
    assert num_features(model()) == 2
    assert num_features(model(num_deepstack=3)) == 8


def test_pictures_are_in_the_form_of_a_vision_tower() -> None:
    pictures = torch.arange(2 * 3 * 2).float().view(2, 3, 2)
    [split] = encoder_outputs(model(), pictures).values()
    assert [part.tolist() for part in split.pooler_output] == pictures.tolist()
    [whole] = encoder_outputs(model(splits_pictures=False), pictures).values()
    assert torch.equal(whole.pooler_output, pictures)


def test_further_features_are_those_of_deepstack() -> None:
    pictures = torch.arange(1 * 2 * 6).float().view(1, 2, 6)
    outputs = encoder_outputs(model(num_deepstack=2), pictures)
    output = outputs["image"]
    assert isinstance(output, BaseModelOutputWithDeepstackFeatures)
    assert [part.tolist() for part in output.pooler_output] == [[[0.0, 1.0], [6.0, 7.0]]]
    assert [[part.tolist() for part in parts] for parts in output.deepstack_features] == [
        [[[2.0, 3.0], [8.0, 9.0]]],
        [[[4.0, 5.0], [10.0, 11.0]]],
    ]


def test_the_blank_picture_is_black() -> None:
    assert (blank_picture().mode, blank_picture().size) == ("RGB", (32, 32))
    assert blank_picture().getextrema() == ((0, 0), (0, 0), (0, 0))
