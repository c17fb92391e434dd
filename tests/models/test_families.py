from __future__ import annotations

import pytest
import torch
from conftest import FAMILY_NAMES
from peft import get_peft_model
from PIL import Image

from instruct_mner.errors import ModelError
from instruct_mner.models.families import FAMILIES, PixelLimits, find_family, token_boxes
from instruct_mner.models.loading import (
    answer_prefix,
    count_adapted_modules,
    limit_pixels,
    load_model,
    lora_config,
)

SIZES = [(300, 200), (90, 260), (64, 64)]


@pytest.fixture(params=FAMILY_NAMES)
def loaded(request, tiny_models):
    return load_model(str(tiny_models(request.param)))


def prepared(loaded, picture: Image.Image):
    messages = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi"}, {"type": "image"}, {"type": "text", "text": "x"}],
        }
    ]
    text = loaded.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return loaded.processor(text=[text], images=[[picture]], return_tensors="pt", add_special_tokens=False)


def test_every_family_has_a_tiny_model_in_these_tests() -> None:
    assert set(FAMILY_NAMES) == set(FAMILIES)


def test_paths_lead_somewhere(loaded) -> None:
    for path in (loaded.family.decoder_path, *loaded.family.vision_paths):
        assert sum(p.numel() for p in loaded.model.get_submodule(path).parameters()) > 0


def test_lora_adapts_every_linear_of_the_decoder_and_nothing_else(loaded) -> None:
    decoder = loaded.model.get_submodule(loaded.family.decoder_path)
    expected = sum(isinstance(m, torch.nn.Linear) for m in decoder.modules())
    model = get_peft_model(loaded.model, lora_config(loaded.family, rank=8, alpha=16, dropout=0.0))
    counts = count_adapted_modules(model, loaded.family)
    assert counts.pop("decoder") == expected == 7 * 2
    assert set(counts.values()) == {0}


@pytest.mark.parametrize("size", SIZES)
def test_the_grid_has_a_cell_for_every_image_token(loaded, size: tuple[int, int]) -> None:
    inputs = prepared(loaded, Image.new("RGB", size, "gray"))
    [boxes] = token_boxes(loaded.family, loaded.processor, inputs["input_ids"][0], inputs)
    assert len(boxes) == (inputs["input_ids"] == loaded.processor.image_token_id).sum()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes.min() == 0
    assert boxes.max() == 1
    area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum()
    passes = 2 if loaded.family.tiles else 1  # tiles, and the whole picture once more
    assert area == pytest.approx(passes, abs=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_painting_a_cell_moves_the_features_of_the_token_that_the_grid_names(loaded, size: tuple[int, int]) -> None:
    """The grid by behaviour, not by reading code: each painted cell is where its token looks."""
    width, height = size
    plain = Image.new("RGB", size, (40, 90, 160))
    inputs = prepared(loaded, plain)
    [boxes] = token_boxes(loaded.family, loaded.processor, inputs["input_ids"][0], inputs)
    before = image_features(loaded, inputs)
    for token in range(0, len(boxes), max(1, len(boxes) // 9)):
        painted = plain.copy()
        x0, y0, x1, y1 = boxes[token].tolist()
        corners = (
            round(x0 * width),
            round(y0 * height),
            max(1, round(x1 * width)),
            max(1, round(y1 * height)),
        )
        painted.paste((255, 220, 30), corners)
        moved = (image_features(loaded, prepared(loaded, painted)) - before).norm(dim=-1)
        # A cell of the tiles lies in a cell of the whole picture too: both may move, the named one most of its kind.
        kind = (area_of(boxes) - area_of(boxes)[token]).abs() < 1e-4
        assert moved.masked_fill(~kind, -1).argmax() == token


def area_of(boxes: torch.Tensor) -> torch.Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def image_features(loaded, inputs) -> torch.Tensor:
    """Features of the image tokens where they enter the decoder, ``(tokens, width)``."""
    entered = {}

    def note(module, arguments, keywords):
        entered["states"] = keywords["inputs_embeds"]

    handle = loaded.model.get_submodule(loaded.family.decoder_path).register_forward_pre_hook(note, with_kwargs=True)
    with torch.no_grad():
        loaded.model(**inputs)
    handle.remove()
    return entered["states"][0][inputs["input_ids"][0] == loaded.processor.image_token_id]


def test_pixel_limits_change_the_number_of_image_tokens(loaded) -> None:
    picture = Image.new("RGB", (600, 600), "gray")
    limit_pixels(loaded.processor, loaded.family, PixelLimits(max_pixels=128 * 128))
    many = (prepared(loaded, picture)["input_ids"] == loaded.processor.image_token_id).sum()
    limit_pixels(loaded.processor, loaded.family, PixelLimits(max_pixels=64 * 64))
    few = (prepared(loaded, picture)["input_ids"] == loaded.processor.image_token_id).sum()
    assert few < many


def test_pixel_limits_that_cannot_be() -> None:
    with pytest.raises(ModelError, match="min_pixels"):
        FAMILIES["idefics3"].pixel_size(PixelLimits(min_pixels=5), {"longest_edge": 64})
    with pytest.raises(ModelError, match="more than"):
        FAMILIES["qwen3_vl"].pixel_size(
            PixelLimits(min_pixels=500, max_pixels=100), {"shortest_edge": 1, "longest_edge": 2}
        )


def test_the_prefix_of_answers(tiny_models) -> None:
    assert answer_prefix(load_model(str(tiny_models("idefics3"))).processor) == " "
    assert answer_prefix(load_model(str(tiny_models("qwen3_vl"))).processor) == ""


def test_unknown_families_are_refused() -> None:
    with pytest.raises(ModelError, match="supported types: idefics3, qwen3_vl"):
        find_family("bert")
