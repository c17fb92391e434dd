"""Alignment objectives in training: forwards, scale, resume, processes, four bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from families import BOTH_KINDS
from runs import EVERYTHING, QUIET, aligned_run, captioned_posts, config_of, killed_at, trainer_of
from safetensors.torch import load_file
from transformers import TrainerCallback

from instruct_mner.alignment.checkpoint import load_heads
from instruct_mner.alignment.information_bottleneck import PATIENCE
from instruct_mner.errors import ConfigError
from instruct_mner.models.prompt_tokens import PromptTokens
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.batch import VIEWS
from instruct_mner.training.config import FinetuneConfig, load_config
from instruct_mner.training.finetune import finetune
from instruct_mner.training.progress import COLLAPSED, read_metrics

HEAD = {"region_span_grounding": {"through": "head", "width": 16}}
GENERATIVE = {"generative": {**EVERYTHING["generative"], "generation": 0.5, "cycle": 0.5}}


@pytest.mark.parametrize(
    ("alignment", "more", "decoder", "vision"),
    [
        ({}, {}, 1, 1),
        ({"region_span_grounding": {}}, {}, 1, 1),
        ({"cross_view": {}}, {}, 2, 1),
        ({"information_bottleneck": {"width": 16}}, {}, 2, 1),
        ({"generative": {"width": 16, "generated_share": 0}}, {}, 2, 1),
        (EVERYTHING, {}, 3, 1),
        ({"cross_view": {"teacher": "both"}}, {"context": True}, 2, 1),
        ({"cross_view": {"teacher": "context"}}, {"context": True}, 3, 1),
        ({"cross_view": {"teacher": "context"}}, {"context": True, "max_images": 0}, 2, 0),
    ],
)
def test_no_forward_that_is_not_needed(alignment, more, decoder, vision, tiny_models, tmp_path) -> None:
    posts = captioned_posts if more.get("context") else make_posts
    data = {"train": str(posts(tmp_path / "data"))}
    run = aligned_run(tiny_models("idefics3"), tmp_path, alignment, optimizer={"max_steps": 1}, data=data, **more)
    counts = {"decoder": 0, "vision": 0}

    def count(name: str):
        return lambda module, arguments: counts.__setitem__(name, counts[name] + 1)

    model = run.loaded.model
    model.get_submodule("model.text_model").register_forward_pre_hook(count("decoder"))
    model.get_submodule("model.vision_model").register_forward_pre_hook(count("vision"))
    trainer_of(run).train()
    assert counts == {"decoder": decoder, "vision": vision}


def test_bare_posts_are_read_no_deeper_than_needed(tiny_models, tmp_path) -> None:
    """Of three layers; the states of the first are caught as they enter the second."""
    from instruct_mner.testing import build_tiny

    model = build_tiny("idefics3", tmp_path / "base", texts=["Types: PER, LOC, ORG, MISC."] * 4, layers=3)
    for alignment, layers in [({"information_bottleneck": {"layer": 1, "width": 4}}, 2), ({"cross_view": {}}, 3)]:
        folder = tmp_path / str(layers)
        run = aligned_run(model, folder, alignment, optimizer={"max_steps": 1})
        counts = [0, 0, 0]
        for number, block in enumerate(run.loaded.model.model.text_model.layers):
            block.register_forward_hook(lambda *_, at=number, counts=counts: counts.__setitem__(at, counts[at] + 1))
        trainer_of(run).train()
        assert counts == [2] * layers + [1] * (3 - layers)
        assert len(run.loaded.model.model.text_model.layers) == 3


class Gradients(TrainerCallback):
    def __init__(self) -> None:
        self.kept: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs) -> None:
        self.kept = {n: p.grad.detach().clone() for n, p in model.named_parameters() if p.grad is not None}


def gradients(model: Path, folder: Path, alignment: dict, batch: int, steps: int) -> dict[str, torch.Tensor]:
    """Of the first step, on four posts with pictures."""
    posts = make_posts(folder / "posts")
    lines = posts.read_text().split("\n")
    posts.write_text("\n".join([lines[0], *lines[2:5]]) + "\n")
    run = aligned_run(
        model, folder / "run", alignment, data={"train": str(posts)}, labels=["PER", "LOC", "ORG", "MISC"],
        optimizer={
            "batch_size": batch, "gradient_accumulation_steps": steps, "max_steps": 1, "max_grad_norm": 1e9,
        },
    )  # fmt: skip
    trainer = trainer_of(run)
    kept = Gradients()
    trainer.add_callback(kept)
    trainer.train()
    return kept.kept


@pytest.mark.parametrize("family", BOTH_KINDS)
def test_accumulation_does_not_change_what_objectives_add(family, tiny_models, tmp_path) -> None:
    """All that is a term of each post, with random numbers of its own; the bottleneck contrasts posts, and is not.

    For families whose forward takes no loss arguments (Qwen3-VL), TRL averages the answer loss over each forward;
    answer losses of other views follow it.
    """
    follows = float(family == "idefics3")
    alignment = {
        **HEAD,
        "cross_view": {"text_weight": follows},
        "generative": {**GENERATIVE["generative"], "generated_weight": follows},
    }
    shares = []
    for batch, steps in [(4, 1), (2, 2), (1, 4)]:
        folder = tmp_path / f"{batch}x{steps}"
        plain = gradients(tiny_models(family), folder / "plain", {}, batch, steps)
        both = gradients(tiny_models(family), folder / "both", alignment, batch, steps)
        shares.append({name: both[name] - plain.get(name, 0) for name in both})
    assert max(share.abs().max() for name, share in shares[0].items() if "lora_" in name) > 1e-3
    for other in shares[1:]:
        for name, share in shares[0].items():
            torch.testing.assert_close(other[name], share, rtol=1e-3, atol=2e-5)


def saved(folder: Path) -> dict[str, torch.Tensor]:
    adapter = load_file(folder / "run" / "adapter" / "adapter_model.safetensors")
    return {**adapter, **load_file(folder / "run" / "alignment" / "heads.safetensors")}


def test_a_killed_run_ends_with_the_same_heads_bit_for_bit(tiny_models, tmp_path) -> None:
    """With AdamW's state of the heads too: without it the steps after the kill would differ."""
    changes = {
        "alignment": {**EVERYTHING, "head_learning_rate": 0.02},
        "optimizer": {"epochs": 2, "batch_size": 2, "learning_rate": 0.01},
        "evaluation": {"every_steps": 3, "posts": 1},
    }
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    finetune(load_config(config_of(tiny_models("idefics3"), tmp_path / "whole", **changes)), QUIET)
    config = load_config(config_of(tiny_models("idefics3"), tmp_path / "killed", **changes))
    with killed_at(5):
        finetune(config, QUIET)
    finetune(config, QUIET, resume=True)
    expected, found = saved(tmp_path / "whole"), saved(tmp_path / "killed")
    assert set(expected) == set(found)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    # The best checkpoint may be older than the kill: the steps after it are told by what they logged.
    logged = [
        [
            {name: value for name, value in line.items() if name.endswith("loss") or name == "grad_norm"}
            for line in read_metrics(tmp_path / name / "run" / "metrics.jsonl")
            if "loss" in line
        ]
        for name in ("whole", "killed")
    ]
    assert len(logged[0]) == 6
    assert logged[0] == logged[1]

    settings, heads = load_heads(tmp_path / "whole" / "run" / "alignment")
    assert set(heads) == set(EVERYTHING)
    assert settings.generative is not None
    assert settings.generative.layers is not None
    bottleneck: Any = heads["information_bottleneck"]
    assert int(bottleneck.stored) > 0


# Whole models have parts that a batch does not reach, beside heads that are used outside the wrapped forward.
@pytest.mark.parametrize("tuning", ["lora", pytest.param("full", marks=pytest.mark.prove)])
def test_two_processes_have_the_loss_of_one(tuning, tiny_models, tmp_path) -> None:
    """The bottleneck, whose gradient is that of its own process, is run beside without weight: nobody waits forever."""
    changes = {
        "tuning": tuning,
        "alignment": {**HEAD, **GENERATIVE, "cross_view": {}, "information_bottleneck": {"width": 16, "weight": 0}},
        "evaluation": {"posts": 1},
        "lora": {"rank": 8, "dropout": 0.0},
    }
    settings = {"epochs": 1, "learning_rate": 0.01}
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    path = config_of(tiny_models("idefics3"), one, optimizer={**settings, "batch_size": 2}, **changes)
    finetune(load_config(path, ["data.dev=null"]), QUIET)
    config = config_of(tiny_models("idefics3"), two, optimizer={**settings, "batch_size": 1}, **changes)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
              "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
              "-m", "instruct_mner", "finetune", str(config), "--set", "data.dev=null"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    result = subprocess.run(launch, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    # Norms of all gradients, of the heads too: processes that did not agree would soon differ in them.
    for name, apart in (("loss", 2e-3), ("grad_norm", 1e-2), ("alignment/head_grad_norm", 1e-2)):
        first, second = (
            [line[name] for line in read_metrics(folder / "run" / "metrics.jsonl") if name in line]
            for folder in (one, two)
        )
        assert len(first) == 3
        assert first == pytest.approx(second, rel=apart)


def test_four_bits(tiny_models, tmp_path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'instruct-mner[qlora]'")
    run = aligned_run(tiny_models("qwen3_vl"), tmp_path, EVERYTHING, tuning="qlora")
    trainer = trainer_of(run)
    kept = Gradients()
    trainer.add_callback(kept)
    trainer.train()
    lora = {name: gradient for name, gradient in kept.kept.items() if "lora_" in name}
    assert len(lora) == 2 * 7 * 2
    assert all(gradient.isfinite().all() and gradient.any() for gradient in lora.values())
    assert {parameter.dtype for parameter in trainer.model.parameters() if parameter.requires_grad} == {torch.float32}


def test_whole_models_are_saved_without_heads(tiny_models, tmp_path) -> None:
    changes = {"tuning": "full", "alignment": HEAD, "optimizer": {"max_steps": 1}, "evaluation": {"posts": 1}}
    finetune(load_config(config_of(tiny_models("idefics3"), tmp_path, **changes)), QUIET)
    assert not [name for name in load_file(tmp_path / "run" / "model" / "model.safetensors") if "alignment" in name]


def test_heads_do_not_shorten_the_steps_of_the_adapter(tiny_models, tmp_path) -> None:
    """The clip factor on LoRA is that of plain training within a tenth, and heads are clipped to the same norm."""
    limit = 0.1
    arms: dict[str, dict[str, Any]] = {
        "plain": {},
        "bottleneck": {"information_bottleneck": {}},
        "head": {"region_span_grounding": {"through": "head"}},
        "attention": {"region_span_grounding": {}},
        "generation": {"generative": {"generated_share": 0}},
    }
    factors = {}
    for name, alignment in arms.items():
        settings = {"max_grad_norm": limit, "learning_rate": 1e-3, "max_steps": 2}
        trainer = trainer_of(aligned_run(tiny_models("idefics3"), tmp_path / name, alignment, optimizer=settings))
        kept = Gradients()
        trainer.add_callback(kept)
        trainer.train()
        norms = {
            is_lora: torch.stack([g.norm() for n, g in kept.kept.items() if ("lora_" in n) is is_lora]).norm().item()
            for is_lora in {"lora_" in n for n in kept.kept}
        }
        assert norms[True] == pytest.approx(limit, rel=1e-3)
        assert norms.get(False, 0) <= limit * 1.001
        lines = [line for line in trainer.state.log_history if "loss" in line]
        factors[name] = [limit / line["grad_norm"] for line in lines]
        assert ("alignment/head_grad_norm" in lines[0]) is (False in norms)
    for name, each in factors.items():
        assert each == pytest.approx(factors["plain"], rel=0.1), name


def test_what_is_not_found_in_the_tokens_is_counted(tiny_models, tmp_path, monkeypatch) -> None:
    """Of five posts with text, and of the posts of the view without pictures."""
    monkeypatch.setattr(PromptTokens, "find", lambda *_: None)
    run = aligned_run(tiny_models("idefics3"), tmp_path, EVERYTHING, optimizer={"max_steps": 1})
    trainer = trainer_of(run)
    trainer.train()
    [line] = [line for line in trainer.state.log_history if "loss" in line]
    posts = [post for post in run.train.examples for _ in range(1 + bool(post.images))]
    assert line["alignment/posts_not_found"] == sum(bool(post.text) for post in posts)
    assert line["alignment/mentions_not_found"] == sum(len(post.gold) for post in posts) > 0


def test_the_weight_grows(tiny_models, tmp_path) -> None:
    run = aligned_run(tiny_models("idefics3"), tmp_path, {"region_span_grounding": {"weight": 0.4, "warmup_steps": 4}})
    trainer = trainer_of(run)
    found = []
    for step in range(6):
        trainer.state.global_step = step
        found.append(trainer._weight(run.objectives[0]))
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


def test_a_collapsed_bottleneck_is_said_once_and_at_the_end(tiny_models, tmp_path, monkeypatch, capsys) -> None:
    """With no weight on what picture and text share, only the push together is left."""
    from rich.console import Console

    from instruct_mner.alignment import information_bottleneck

    monkeypatch.setattr(information_bottleneck, "PATIENCE", 4)
    assert PATIENCE == 100
    alignment = {"information_bottleneck": {"width": 4, "mutual_information": 0, "divergence": 1, "weight": 1}}
    path = config_of(tiny_models("idefics3"), tmp_path, alignment=alignment, optimizer={"max_steps": 6})
    finetune(load_config(path, ["data.dev=null"]), Console(soft_wrap=True, highlight=False))
    said = capsys.readouterr().out
    assert said.count(COLLAPSED) == 2
    assert "step 4: the information bottleneck has collapsed" in said
    lines = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss" in line]
    assert [line["information_bottleneck/collapsed"] for line in lines] == [0, 0, 0, 1, 1, 1]


def test_settings_that_have_nothing_to_align(tmp_path) -> None:
    wrong = {
        "model": "m", "data": {"train": "t"}, "output": "o", "max_images": 0, "optimizer": {"batch_size": 1},
        "alignment": {"cross_view": {"teacher": "both"}, "information_bottleneck": {"store": 0}},
    }  # fmt: skip
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(wrong))
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    for part in (
        "need(s) pictures",
        "teacher: both needs captions",
        "has no negatives",
        "max_images: 0 shows no pictures",
    ):
        assert part in str(raised.value)


@pytest.mark.parametrize("hiding", ["data.image_source: none", "augmentation.drop_picture: 1"])
def test_objectives_and_boxes_are_refused_where_a_setting_hides_all_pictures(hiding: str, tmp_path) -> None:
    section, value = hiding.split(".")
    settings: dict[str, Any] = {"data": {"train": "t"}, "model": "m", "output": "o"}
    settings.setdefault(section, {}).update(yaml.safe_load(value))
    objectives: list[dict[str, Any]] = [{"generative": {}}, HEAD, {"cross_view": {}}, {"information_bottleneck": {}}]
    for alignment in objectives:
        with pytest.raises(
            ValueError, match=rf"need\(s\) pictures, of which none is shown; {hiding} shows no pictures"
        ):
            FinetuneConfig.model_validate({**settings, "alignment": alignment})
    with pytest.raises(ValueError, match=rf"asks for boxes on pictures, {hiding} shows none"):
        FinetuneConfig.model_validate({**settings, "answer": {"grounded": True}})


def test_a_teacher_of_context_needs_no_pictures(tiny_models, tmp_path) -> None:
    alignment = {"cross_view": {"teacher": "context"}}
    data = {"train": str(captioned_posts(tmp_path / "data")), "image_source": "none"}
    trainer = trainer_of(aligned_run(tiny_models("idefics3"), tmp_path, alignment, data=data, context=True))
    trainer.train()
    losses = [line["cross_view/loss"] for line in trainer.state.log_history if "cross_view/loss" in line]
    assert losses
    assert min(losses) > 0


def test_layers_and_heads_that_are_not_there(tiny_models, tmp_path) -> None:
    alignment = {
        "information_bottleneck": {"layer": 3}, "region_span_grounding": {"layer": 2, "heads": [4]},
        "generative": {"layers": [1, 9]},
    }  # fmt: skip
    with pytest.raises(ConfigError) as raised:
        aligned_run(tiny_models("idefics3"), tmp_path, alignment)
    for part in ("bottleneck.layer: 3; of this model, 1 to 2", "grounding.layer: 2; of this model, 1 to 1",
                 "heads: 4; the model has heads 0 to 3", "generative.layers: 9"):  # fmt: skip
        assert part in str(raised.value)


def test_shuffled_pictures_are_of_other_posts(tiny_models, tmp_path) -> None:
    rows = [{"index": index} for index in (0, 2, 3, 4, 5)]
    shown = {}
    for source, alignment in (("own", HEAD), ("shuffled", HEAD), ("none", {})):
        posts = make_posts(tmp_path / source / "posts")
        run = aligned_run(
            tiny_models("idefics3"), tmp_path / source, alignment, data={"train": str(posts), "image_source": source}
        )
        shown[source] = run.collator(rows)
    assert "pixel_values" not in shown["none"]
    own, other = (shown[source]["pixel_values"].flatten(1).mean(1) for source in ("own", "shuffled"))
    assert sorted(own.tolist()) == pytest.approx(sorted(other.tolist()), abs=1e-5)
    assert (own - other).abs().min() > 1e-4
    assert len(shown["shuffled"][VIEWS].rows) == 5
    assert FinetuneConfig.model_validate(run.config.model_dump()).data.image_source == "none"
