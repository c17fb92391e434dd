from __future__ import annotations

import pytest
import torch
from families import FAMILY_NAMES, TEXT_FAMILIES
from peft import get_peft_model
from PIL import Image

from instruct_mner.errors import ModelError
from instruct_mner.models.families import FAMILIES, find_family, token_boxes
from instruct_mner.models.loading import (
    count_adapted_modules,
    load_model,
    lora_config,
)
from instruct_mner.schema.pixel_limits import PixelLimits

SIZES = [(300, 200), (90, 260), (64, 64)]


@pytest.fixture(params=FAMILY_NAMES)
def loaded(request, tiny_models):
    return load_model(str(tiny_models(request.param)))


TWICE = dict.fromkeys(SIZES, 2)
PASSES = {
    "idefics3": TWICE,
    "smolvlm": TWICE,
    "internvl": {(300, 200): 2, (90, 260): 2},
    "llava_onevision": TWICE,
}


def boxes_of(loaded, inputs, size: tuple[int, int]) -> list[torch.Tensor]:
    return token_boxes(
        loaded.family, loaded.processor, loaded.image_token_id, inputs["input_ids"][0].tolist(), [size], inputs
    )


def prepared(loaded, picture: Image.Image):
    messages = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi"}, {"type": "image"}, {"type": "text", "text": "x"}],
        }
    ]
    text = loaded.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return loaded.processor(text=[text], images=[[picture]], return_tensors="pt", add_special_tokens=False)


def test_every_family_is_in_these_tests_or_in_those_of_text_models() -> None:
    assert {*FAMILY_NAMES, *TEXT_FAMILIES} == set(FAMILIES)


def test_paths_lead_somewhere(loaded) -> None:
    for path in (loaded.family.decoder_path, *loaded.family.vision_paths):
        assert sum(p.numel() for p in loaded.model.get_submodule(path).parameters()) > 0


# Linear layers of two decoder blocks: seven each, but for experts, which are none, and for linear attention.
LINEARS = {"qwen3_vl_moe": 4 + 4, "qwen3_5": 6 + 7, "glm46v": 5 + 5}
# Linear layers that have no adapter: gates of linear attention, the embeddings that each layer of Gemma 4 has, and
# what vLLM takes none on.
PLAIN = (
    "in_proj_a",
    "in_proj_b",
    "gate_up_proj",
    "per_layer_input_gate",
    "per_layer_projection",
    "per_layer_model_projection",
)


def test_lora_adapts_every_linear_of_the_decoder_and_nothing_else(loaded) -> None:
    decoder = loaded.model.get_submodule(loaded.family.decoder_path)
    linears = {name for name, module in decoder.named_modules() if isinstance(module, torch.nn.Linear)}
    expected = sum(not name.endswith(PLAIN) for name in linears)
    model = get_peft_model(loaded.model, lora_config(loaded.family, rank=8, alpha=16, dropout=0.0))
    counts = count_adapted_modules(model, loaded.family)
    assert counts.pop("decoder") == expected == LINEARS.get(loaded.family.name, 7 * 2)
    assert set(counts.values()) == {0}


@pytest.mark.parametrize("size", SIZES)
def test_the_grid_has_a_cell_for_every_image_token(loaded, size: tuple[int, int]) -> None:
    inputs = prepared(loaded, Image.new("RGB", size, "gray"))
    [boxes] = boxes_of(loaded, inputs, size)
    assert len(boxes) == (inputs["input_ids"] == loaded.image_token_id).sum()
    assert (boxes[:, 2:] >= boxes[:, :2]).all()
    assert boxes.min() == 0
    assert boxes.max() == 1
    # The cells cover the picture once; with tiles, it is there as a whole too.
    assert area_of(boxes).sum().item() == pytest.approx(PASSES.get(loaded.family.name, {}).get(size, 1), abs=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_painting_a_cell_moves_the_features_of_the_token_that_the_grid_names(loaded, size: tuple[int, int]) -> None:
    """The grid by behaviour, not by reading code: each painted cell is where its token looks."""
    width, height = size
    plain = Image.new("RGB", size, (40, 90, 160))
    inputs = prepared(loaded, plain)
    [boxes] = boxes_of(loaded, inputs, size)
    before = image_features(loaded, inputs)
    for token in range(0, len(boxes), max(1, len(boxes) // 9)):
        painted = plain.copy()
        x0, y0, x1, y1 = boxes[token].tolist()
        if x0 == x1:
            continue  # a line break between rows looks nowhere
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
        # (LLaVA-OneVision shows a picture of one tile twice alike: then either copy of the cell may lead.)
        assert torch.equal(boxes[moved.masked_fill(~kind, -1).argmax()], boxes[token])


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
    return entered["states"][0][inputs["input_ids"][0] == loaded.image_token_id]


@pytest.mark.parametrize("family", ["idefics3", "smolvlm", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "glm46v"])
def test_pixel_limits_change_the_number_of_image_tokens(family, tiny_models) -> None:
    loaded = load_model(str(tiny_models(family)))
    picture = Image.new("RGB", (600, 600), "gray")
    counts = []
    for limit in (128 * 128, 64 * 64):
        loaded.limit_pixels(PixelLimits(max_pixels=limit))
        counts.append(int((prepared(loaded, picture)["input_ids"] == loaded.image_token_id).sum()))
    assert counts[1] < counts[0]


def test_pixel_limits_of_gemma4_are_numbers_of_tokens(tiny_models) -> None:
    loaded = load_model(str(tiny_models("gemma4")))
    token = 16 * 16
    for limit, number in [(70 * token, 70), (279 * token, 140), (280 * token, 280), (9999 * token, 1120)]:
        assert loaded.pixel_settings(PixelLimits(max_pixels=limit)) == {"max_soft_tokens": number}
    assert loaded.pixel_settings(PixelLimits()) == {}
    with pytest.raises(ModelError, match=f"no less than {70 * token}"):
        loaded.limit_pixels(PixelLimits(max_pixels=69 * token))


@pytest.mark.parametrize("family", ["gemma3", "llava_onevision"])
def test_families_with_sizes_of_their_own_refuse_limits(family, tiny_models) -> None:
    loaded = load_model(str(tiny_models(family)))
    loaded.limit_pixels(PixelLimits())
    with pytest.raises(ModelError, match="sizes of its own"):
        loaded.limit_pixels(PixelLimits(max_pixels=5))


def test_pixel_limits_that_cannot_be(tiny_models) -> None:
    for family, limits, message in [
        ("idefics3", PixelLimits(min_pixels=5), "min_pixels"),
        ("internvl", PixelLimits(min_pixels=5), "min_pixels"),
        ("qwen3_vl", PixelLimits(min_pixels=50_000), "more than"),
    ]:
        loaded = load_model(str(tiny_models(family)))
        with pytest.raises(ModelError, match=message):
            loaded.limit_pixels(limits)


@pytest.mark.parametrize("size", SIZES)
def test_the_resized_size_is_that_of_the_processor(size, tiny_models) -> None:
    loaded = load_model(str(tiny_models("qwen2_5_vl")))
    _, height, width = prepared(loaded, Image.new("RGB", size))["image_grid_thw"][0].tolist()
    assert loaded.resized(size) == (width * 14, height * 14)


def test_the_prefix_of_answers(loaded) -> None:
    prefixes = {"idefics3": " ", "smolvlm": " ", "glm46v": "\n"}
    assert loaded.answer_prefix == prefixes.get(loaded.family.name, "")


def test_unknown_families_are_refused() -> None:
    with pytest.raises(ModelError, match="supported types: idefics3, smolvlm"):
        find_family("bert")
