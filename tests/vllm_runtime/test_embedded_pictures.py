"""Features in the place of a picture: vLLM writes the tokens around them that training saw."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from instruct_mner.models.families import FAMILIES
from instruct_mner.models.generated_pictures import blank_picture, num_features, with_grid
from instruct_mner.models.loading import LoadedModel, load_model

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed (make setup brings it)")
GRID = 3
MESSAGES = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Name the entities."}]}]


def in_vllm(folder: Path, ids: list[int], picture: object) -> list[int]:
    """The ids that vLLM's processor makes of a prompt with one token for a picture."""
    from vllm.config import ModelConfig
    from vllm.multimodal import MULTIMODAL_REGISTRY
    from vllm.multimodal.processing import ProcessorInputs, TimingContext

    from instruct_mner.vllm_runtime import embedded_pictures

    embedded_pictures.install()
    config = ModelConfig(model=str(folder), enable_mm_embeds=True, limit_mm_per_prompt={"image": 1})
    processor: Any = MULTIMODAL_REGISTRY.create_processor(config)
    items = processor.info.parse_mm_data({"image": picture})
    return list(processor.apply(ProcessorInputs(ids, items), TimingContext())["prompt_token_ids"])


def features(loaded: LoadedModel, width: int) -> object:
    """One picture of zeros, as the gateway sends it."""
    more = loaded.family.grid_inputs(loaded.processor, 1, GRID, GRID)
    rows = torch.zeros(GRID * GRID, width)
    return {"image_embeds": rows, **more} if more else [rows]


# Those that share their processor with one of these are for `make prove`.
@pytest.mark.parametrize(
    "family",
    [
        pytest.param(each.name, marks=() if each.name in {"idefics3", "qwen3_vl"} else pytest.mark.prove)
        for each in FAMILIES.values()
        if each.takes_features
    ],
)
def test_ids_are_those_of_training(family: str, tiny_models: Callable[[str], Path]) -> None:
    loaded = load_model(str(tiny_models(family)))
    prompt = loaded.processor.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False)
    batch = loaded.processor(text=[prompt], images=[[blank_picture()]], return_tensors="pt")
    expected = with_grid(batch, loaded, GRID, padding_side="left")["input_ids"][0].tolist()
    ids = loaded.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert in_vllm(tiny_models(family), ids, features(loaded, num_features(loaded))) == expected
    assert expected.count(loaded.image_token_id) == GRID * GRID
    # A picture of pixels is what it was.
    assert in_vllm(tiny_models(family), ids, [blank_picture()]) == batch["input_ids"][0].tolist()
    wrong = features(loaded, num_features(loaded) + 1)
    if isinstance(wrong, list):  # With sizes beside them vLLM does not look at features: the generator does.
        with pytest.raises(ValueError, match="hidden dimension mismatch"):
            in_vllm(tiny_models(family), ids, wrong)
