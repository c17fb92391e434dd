from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families import BOTH_KINDS
from runs import QUIET, config_of
from safetensors.torch import load_file
from typer.testing import CliRunner

from instruct_mner import Tagger
from instruct_mner.cli import app
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.models.loading import load_model
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import finetune

RUNNER = CliRunner()


def deltas(adapter: Path) -> dict[str, torch.Tensor]:
    """What a LoRA adds to each weight: B times A times alpha over rank."""
    weights = load_file(adapter / "adapter_model.safetensors")
    return {
        name.removeprefix("base_model.model.").replace("lora_A.", ""): weights[name.replace("lora_A", "lora_B")].float()
        @ weights[name].float()
        * (32 / 8)
        for name in weights
        if "lora_A" in name
    }


@pytest.mark.parametrize("tuning", ["lora", "qlora"])
@pytest.mark.parametrize("family", BOTH_KINDS)
def test_the_whole_model_has_the_adapter_in_it(family, tuning, tiny_models, tmp_path) -> None:
    run = finetune(load_config(config_of(tiny_models(family), tmp_path, tuning=tuning)), QUIET)
    (tmp_path / "whole.partial").mkdir()
    (tmp_path / "whole.partial" / "notes.txt").write_text("mine")
    before = {path.name for path in tmp_path.iterdir()}
    result = RUNNER.invoke(app, ["merge", str(run), str(tmp_path / "whole")], catch_exceptions=False)
    assert result.exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} - before == {"whole"}
    assert not (tmp_path / "whole" / "notes.txt").exists()
    assert (tmp_path / "whole.partial" / "notes.txt").read_text() == "mine"
    merged = load_model(str(tmp_path / "whole"))
    assert merged.model.dtype == torch.bfloat16
    base = load_model(str(tiny_models(family)), dtype="bfloat16")
    plain = base.base.state_dict()
    changed = {name for name, weight in merged.base.state_dict().items() if not torch.equal(weight, plain[name])}
    assert len(changed) == 14
    for name, delta in deltas(run / "adapter").items():
        error = (merged.base.state_dict()[name].float() - (plain[name].float() + delta)).abs()
        # Bfloat16 has eight bits: base and delta are each rounded to them, and so is their sum.
        assert (error <= 2**-7 * (plain[name].float().abs() + delta.abs()) + 1e-6).all()
    dataset = load_split(str(tmp_path / "posts" / "posts.jsonl"))
    tagger = Tagger.from_pretrained(tmp_path / "whole")
    assert len(list(tagger.predict(dataset.examples, dataset.picture_paths))) == 6
    with pytest.raises(ConfigError, match="exists"):
        RUNNER.invoke(app, ["merge", str(run), str(tmp_path / "whole")], catch_exceptions=False)
    with pytest.raises(ModelError, match="whole model already"):
        RUNNER.invoke(app, ["merge", str(tmp_path / "whole"), str(tmp_path / "b")], catch_exceptions=False)
