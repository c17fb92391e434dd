"""Runs that were killed, runs of several processes, and runs in four bits."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import get_peft_model
from runs import QUIET, Killed, config_of, killed_at
from safetensors.torch import load_file

from instruct_mner.errors import ConfigError
from instruct_mner.models.four_bits import four_bits
from instruct_mner.models.loading import count_adapted_modules, load_model, lora_config
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import finetune
from instruct_mner.training.setup import Run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "run" / "adapter" / "adapter_model.safetensors")


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def totals(folder: Path) -> tuple[list[float], float]:
    """Numbers of tokens up to each step, and the mean loss of all."""
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    counted = [line["num_tokens"] for line in lines if "num_tokens" in line]
    assert counted == sorted(counted)
    return counted, lines[-1]["train_loss"]


@pytest.fixture(scope="module")
def whole(tiny_models, tmp_path_factory) -> Path:
    """A run that was never killed: 12 steps."""
    folder = tmp_path_factory.mktemp("whole")
    finetune(load_config(config_of(tiny_models("idefics3"), folder)), QUIET)
    return folder


# Ten places to be killed at; the other nine are for `make prove`.
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.prove) for seed in range(1, 10))])
def test_a_killed_run_ends_with_the_same_adapter_bit_for_bit(seed, whole, tiny_models, tmp_path) -> None:
    config = load_config(config_of(tiny_models("idefics3"), tmp_path))
    step = random.Random(seed).randint(1, 12)
    with killed_at(step):
        finetune(config, QUIET)
    assert not (tmp_path / "run" / "adapter").exists()
    finetune(config, QUIET, resume=True)
    expected, found = weights(whole), weights(tmp_path)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert losses(tmp_path) == losses(whole)
    assert totals(tmp_path) == totals(whole)


def test_a_checkpoint_that_was_being_written_is_not_used(whole, tiny_models, tmp_path, monkeypatch) -> None:
    from trl import SFTTrainer

    from instruct_mner.training.trainer import MnerTrainer

    config = load_config(config_of(tiny_models("idefics3"), tmp_path))

    def torn(self, model, trial) -> None:
        super(SFTTrainer, self)._save_checkpoint(model, trial)
        path = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        (path / "optimizer.pt").write_bytes(b"half")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MnerTrainer, "_save_checkpoint", torn)
        with pytest.raises(Killed):
            finetune(config, QUIET)
    finetune(config, QUIET, resume=True)
    assert all(torch.equal(weights(whole)[name], found) for name, found in weights(tmp_path).items())


def test_a_run_that_was_killed_after_its_last_step_makes_no_further_one(tiny_models, tmp_path, monkeypatch) -> None:
    """Four steps of three in an epoch: transformers would make a fifth."""
    optimizer = {"max_steps": 4, "batch_size": 2, "learning_rate": 0.01}
    folders = [tmp_path / "whole", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
    whole, killed = (
        load_config(config_of(tiny_models("idefics3"), folder, optimizer=optimizer, evaluation={"every_steps": 2}))
        for folder in folders
    )
    finetune(whole, QUIET)

    def dies(*arguments) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("instruct_mner.training.finetune._finish", dies)
        with pytest.raises(Killed):
            finetune(killed, QUIET)
    finetune(killed, QUIET, resume=True)
    assert [step for step, _ in losses(folders[1])] == [1, 2, 3, 4]
    expected, found = map(weights, folders)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_run_that_was_moved_behind_its_last_step_keeps_the_best_weights(tiny_models, tmp_path, monkeypatch) -> None:
    """The path of the best checkpoint in its state is that of the old place."""
    scores = iter([0.5, 0.1])
    monkeypatch.setattr(Run, "score_dev", lambda self, model: {"f1": next(scores), "span_f1": 0.5})
    optimizer = {"max_steps": 4, "batch_size": 2, "learning_rate": 0.01}
    path = config_of(tiny_models("idefics3"), tmp_path, optimizer=optimizer, evaluation={"every_steps": 2})

    def dies(*arguments) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("instruct_mner.training.finetune._finish", dies)
        with pytest.raises(Killed):
            finetune(load_config(path), QUIET)
    best = load_file(tmp_path / "run" / "checkpoints" / "checkpoint-2" / "adapter_model.safetensors")
    (tmp_path / "moved").mkdir()
    (tmp_path / "run").rename(tmp_path / "moved" / "run")
    finetune(load_config(path, [f"output={tmp_path / 'moved' / 'run'}"]), QUIET, resume=True)
    found = weights(tmp_path / "moved")
    assert all(torch.equal(best[name], found[name]) for name in best)


def test_resume_refuses_other_settings_and_leaves_a_finished_run_alone(whole, tmp_path) -> None:
    before = (whole / "run" / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    finetune(load_config(whole / "config.yaml"), QUIET, resume=True)
    assert (whole / "run" / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == before
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("seed: 9\n")
    with pytest.raises(ConfigError, match="settings are not those"):
        finetune(load_config(whole / "config.yaml", [f"output={tmp_path / 'run'}"]), QUIET, resume=True)


@pytest.mark.prove  # with all objectives on, `test_alignment_training.py` shows it in every run
def test_two_processes_have_the_loss_of_one(tiny_models, tmp_path) -> None:
    """Batches of two posts in each of two processes, against batches of four in one."""
    plain = {"evaluation": {"posts": 3}, "lora": {"rank": 8, "dropout": 0.0}}
    settings = {"epochs": 3, "learning_rate": 0.01}
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    finetune(
        load_config(config_of(tiny_models("idefics3"), one, optimizer={**settings, "batch_size": 2}, **plain)), QUIET
    )
    config = config_of(tiny_models("idefics3"), two, optimizer={**settings, "batch_size": 1}, **plain)
    # `--cpu` alone starts one process (accelerate 1.15): the several of `--multi_gpu` are told to use the CPU.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
              "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
              "-m", "instruct_mner", "finetune", str(config)]  # fmt: skip
    result = subprocess.run(
        launch,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert [step for step, _ in losses(two)] == [step for step, _ in losses(one)]
    assert [loss for _, loss in losses(two)] == pytest.approx([loss for _, loss in losses(one)], rel=1e-4)


@pytest.mark.parametrize("family", ["idefics3", "qwen2_5_vl", "qwen3_vl"])
def test_four_bits_are_for_the_decoder_only(family, tiny_models) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'instruct-mner[qlora]'")
    loaded = load_model(str(tiny_models(family)), quantized=True)
    quantized = [name for name, module in loaded.base.named_modules() if type(module).__name__ == "Linear4bit"]
    assert len(quantized) == 7 * 2
    assert all(name.startswith(loaded.family.decoder_path + ".layers.") for name in quantized)
    assert four_bits(loaded.family, in_parts=False).bnb_4bit_quant_storage == torch.uint8
    assert four_bits(loaded.family, in_parts=True).bnb_4bit_quant_storage == torch.bfloat16
    model = get_peft_model(loaded.model, lora_config(loaded.family, rank=8, alpha=16, dropout=0.0))
    counts = count_adapted_modules(model, loaded.family)
    assert counts.pop("decoder") == 14
    assert set(counts.values()) == {0}


def test_a_forward_without_gradient_leaves_the_gradients_of_qlora_as_they_are(tiny_models) -> None:
    """Scores of dev are such forwards, in which bitsandbytes would pack the weights of some processors anew."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'instruct-mner[qlora]'")
    loaded = load_model(str(tiny_models("qwen3_vl")), quantized=True)
    model = get_peft_model(loaded.model, lora_config(loaded.family, rank=8, alpha=16, dropout=0.0))
    ids = torch.arange(5, 17)[None]

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model.train()(input_ids=ids, labels=ids).loss.backward()
        return [weight.grad.clone() for _, weight in sorted(model.named_parameters()) if weight.grad is not None]

    before = gradients()
    assert any(gradient.any() for gradient in before)
    with torch.no_grad():
        model.eval()(input_ids=ids)
    assert all(torch.equal(*pair) for pair in zip(before, gradients(), strict=True))


def test_qlora_trains_an_adapter_that_a_plain_base_takes(tiny_models, tmp_path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'instruct-mner[qlora]'")
    from instruct_mner import Tagger

    finetune(load_config(config_of(tiny_models("qwen3_vl"), tmp_path, tuning="qlora")), QUIET)
    first, *_, last = [loss for _, loss in losses(tmp_path)]
    assert last < first
    tagger = Tagger.from_pretrained(tmp_path / "run")
    assert tagger.manifest.tuning == "qlora"
    assert isinstance(tagger.predict_entities("Jordan dunks in Chicago"), list)
