"""Reinforcement from config and adapter to run folder, killed and continued, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from runs import QUIET, killed_at
from safetensors.torch import load_file
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.errors import ConfigError
from instruct_mner.models.manifest import Manifest
from instruct_mner.reinforcement.config import check_same, find_start, left_out, reinforced_config
from instruct_mner.reinforcement.dry_run import _spread
from instruct_mner.reinforcement.reinforce import count_steps, reinforce
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.config import FinetuneConfig, load_config
from instruct_mner.training.finetune import finetune

RUNS = CliRunner()


def config_of(model: Path, folder: Path, **changes: Any) -> Path:
    """A config of two steps of LoRA and four of reinforcement, with boxes."""
    posts = str(make_posts(folder / "posts"))
    values = {
        "model": str(model),
        "data": {"train": posts, "dev": posts, "missing_image": "text"},
        "answer": {"grounded": True, "max_entities": 3},
        "lora": {"rank": 8, "dropout": 0.1},
        "optimizer": {"max_steps": 2, "batch_size": 2, "learning_rate": 0.01},
        "evaluation": {"posts": 2},
        "output": str(folder / "run"),
        "reinforcement": {
            "num_answers": 2,
            "posts_per_step": 2,
            "max_steps": 4,
            "evaluate_every": 2,
            "learning_rate": 0.01,
            "divergence": 0.01,
        },
        **changes,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    # What tells of time is not the same twice.
    return [
        {name: value for name, value in line.items() if "time" not in name and "per_second" not in name}
        for line in lines
        if "train_loss" not in line  # the mean over the steps since the last start
    ]


@pytest.fixture(scope="module")
def tuned(tiny_models, tmp_path_factory) -> Path:
    """A folder with a config and the adapter that it made."""
    folder = tmp_path_factory.mktemp("tuned")
    finetune(load_config(config_of(tiny_models("idefics3"), folder)), QUIET)
    return folder


@pytest.fixture(scope="module")
def whole(tuned) -> Path:
    """The run folder of a reinforcement that was never killed."""
    done = RUNS.invoke(app, ["reinforce", str(tuned / "config.yaml")])
    assert done.exit_code == 0, done.output
    return tuned / "run-reinforced"


def test_it_makes_a_run_folder_like_finetune(tuned, whole) -> None:
    assert {path.name for path in whole.iterdir()} == {path.name for path in (tuned / "run").iterdir()}
    lines = metrics(whole)
    assert [line["step"] for line in lines if "eval_f1" in line] == [0, 2, 4]
    rewarded = [line for line in lines if "reward" in line]
    assert [line["step"] for line in rewarded] == [1, 2, 3, 4]
    for name in ("spans", "types", "boxes", "not_visible"):
        assert all(0 <= line[f"rewards/{name}"] <= 1 for line in rewarded)
    assert all(line["answers/illegal"] == 0 for line in rewarded)
    assert all(line["kl"] >= 0 for line in rewarded)


def test_the_manifest_names_the_adapter_that_it_began_with(tuned, whole) -> None:
    manifest, prompt = Manifest.load(whole / "adapter")
    before, before_prompt = Manifest.load(tuned / "run" / "adapter")
    assert manifest.reinforced_from == find_start(reinforced_config(load_config(tuned / "config.yaml"))).sha256
    assert before.reinforced_from is None
    assert (manifest.answer, prompt.sha256) == (before.answer, before_prompt.sha256)


def test_the_weights_are_those_of_one_adapter_and_have_changed_or_are_the_first(tuned, whole) -> None:
    before, after = weights(tuned / "run"), weights(whole)
    assert before.keys() == after.keys()
    best = max((line for line in metrics(whole) if "eval_f1" in line), key=lambda line: line["eval_gmner_f1"])
    same = all(torch.equal(before[name], after[name]) for name in before)
    assert same is (best["step"] == 0)
    assert not (whole / "adapter" / "ref").exists()


def test_it_is_tagged_with_as_any_other(tuned, whole, tmp_path) -> None:
    output = tmp_path / "found.jsonl"
    done = RUNS.invoke(app, ["tag", str(tuned / "posts" / "posts.jsonl"), "--adapter", str(whole), "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert output.read_text().count("\n") == 6


@pytest.mark.parametrize("step", [1, 3, pytest.param(4, marks=pytest.mark.prove)])
def test_a_killed_run_ends_with_the_same_adapter_bit_for_bit(step, tuned, whole, tmp_path) -> None:
    again = tmp_path / "again"
    config = reinforced_config(load_config(tuned / "config.yaml", [f"reinforcement.output={again}"]))
    with killed_at(step):
        reinforce(config, QUIET)
    reinforce(config, QUIET, resume=True)
    expected, found = weights(whole), weights(again)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert metrics(again) == metrics(whole)


def test_a_finished_run_is_left_alone(tuned, whole) -> None:
    done = RUNS.invoke(app, ["reinforce", str(tuned / "config.yaml"), "--resume"])
    assert done.exit_code == 0
    assert "finished already" in done.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(["tuning=full"], "reinforce goes on from an adapter", id="full"),
        pytest.param(["reinforcement.adapter=nowhere"], "there is no adapter in nowhere", id="no adapter"),
        pytest.param(
            ["answer.format=json"], "answer.format: lines in the adapter, json by", id="another form of answers"
        ),
        pytest.param(
            ["labels=[PER, LOC, ORG, MISC, {name: X, definition: y}]"],
            "in the adapter, PER, LOC, ORG, MISC, X (y) by the config",
            id="labels",
        ),
        pytest.param(["lora.rank=16"], "lora.rank: 8 in the adapter, 16 by the config", id="rank"),
        pytest.param(["lora.alpha=7"], "lora.alpha: 32 in the adapter, 7 by the config", id="alpha"),
        pytest.param(["prompt=tag-twice"], "prompt: tag-grounded", id="another prompt"),
        pytest.param(["reinforcement.posts_per_step=7"], "a step has 7 posts", id="too few posts"),
        pytest.param(["reinforcement.rewards={spans: 0, types: 0}"], "spans and types are both 0", id="no reward"),
        pytest.param(["reinforcement.num_answers=1"], "reinforcement.num_answers", id="one answer"),
        pytest.param(["reinforcement.patiense=2"], "did you mean 'patience'", id="unknown"),
    ],
)
def test_what_does_not_fit_is_one_clear_message(changes, message, tuned) -> None:
    flags = [part for each in [*changes, "reinforcement.output=other"] for part in ("--set", each)]
    done = RUNS.invoke(app, ["reinforce", str(tuned / "config.yaml"), *flags])
    assert done.exit_code != 0
    assert message in f"{done.output} {done.exception}"


def test_an_adapter_of_another_commit_of_the_base_is_refused(tuned) -> None:
    config = load_config(tuned / "config.yaml")
    start = find_start(reinforced_config(config))
    check_same(start, start.manifest, config.lora)
    other = start.manifest.model_copy(update={"base_revision": "2"})
    with pytest.raises(ConfigError, match="revision: None in the adapter, 2 by the config"):
        check_same(start, other, config.lora)


def test_settings_of_fine_tuning_that_are_not_used_are_named(tuned) -> None:
    config = FinetuneConfig.model_validate(
        {
            **yaml.safe_load((tuned / "config.yaml").read_text()),
            "alignment": {"region_span_grounding": {"through": "head"}},
            "augmentation": {"drop_picture": 0.1},
        }
    )
    assert [line.partition(":")[0] for line in left_out(config)] == ["alignment", "augmentation"]
    own = reinforced_config(config)
    assert not own.alignment.is_on
    with pytest.raises(ConfigError):
        reinforced_config(config.model_copy(update={"tuning": "full"}))


@pytest.mark.prove
def test_two_processes_draw_answers_to_posts_of_their_own_and_end_with_one_adapter(tuned, tmp_path) -> None:
    output = tmp_path / "two"
    # `--cpu` alone starts one process (accelerate 1.15): the several of `--multi_gpu` are told to use the CPU.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
              "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
              "-m", "instruct_mner", "reinforce", str(tuned / "config.yaml"),
              "--set", f"reinforcement.output={output}", "--set", "reinforcement.max_steps=3"]  # fmt: skip
    result = subprocess.run(
        launch,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    lines = metrics(output)
    assert [line["step"] for line in lines if "reward" in line] == [1, 2, 3]
    assert [line["step"] for line in lines if "eval_f1" in line] == [0, 2, 3]
    assert weights(output).keys() == weights(tuned / "run").keys()


def test_a_dry_run_shows_answers_with_rewards_and_makes_nothing(tuned: Path) -> None:
    before = sorted(tuned.rglob("*"))
    changes = ["--set", "reinforcement.warmup_steps=9", "--set", "reinforcement.max_steps=3"]
    done = RUNS.invoke(app, ["reinforce", str(tuned / "config.yaml"), "--dry-run", *changes])
    assert done.exit_code == 0, done.output
    for part in (
        "num_answers: 2",
        "reinforcement.warmup_steps 9: ",
        "RT @ user : Jordan",
        "steps    3, about ",
        "dev      scored 3 times",
        "GiB of memory",
    ):
        assert part in done.output
    number = r"[01]\.\d\d"
    rewards = re.findall(
        rf"^({number}) \(spans ({number}), types ({number}), boxes ({number}), not_visible ({number})\)$",
        done.output,
        re.M,
    )
    assert len(rewards) == 2
    for total, *parts in rewards:
        assert float(total) == pytest.approx(sum(map(float, parts)) / 4, abs=0.02)
    assert re.search(r"2 posts: mean reward 0\.\d{3}; of [012] all answers are worth the same", done.output)
    assert sorted(tuned.rglob("*")) == before


def test_posts_whose_answers_are_all_worth_the_same_are_counted() -> None:
    drawn: Any = [SimpleNamespace(totals=torch.tensor(totals)) for totals in ([0.5, 0.5], [0.0, 1.0], [1.0, 1.0])]
    assert _spread(drawn) == ("3 posts: mean reward 0.667; of 2 all answers are worth the same, which teaches nothing")


def test_the_number_of_steps_of_a_dry_run_is_that_of_the_run(tuned: Path, tmp_path: Path) -> None:
    changes = ["max_steps=null", "epochs=1.5", "posts_per_step=4", f"output={tmp_path / 'again'}"]
    changes += ["scheduler=constant_with_warmup", "warmup_steps=4"]
    config = reinforced_config(
        load_config(tuned / "config.yaml", ["data.dev=null", *(f"reinforcement.{each}" for each in changes)])
    )
    banner = io.StringIO()
    reinforce(config, Console(file=banner, width=300))
    assert "warm-up   reinforcement.warmup_steps 4: in 2 steps the learning rate reaches 0.25 of" in banner.getvalue()
    steps = [line["step"] for line in metrics(tmp_path / "again") if "reward" in line]
    assert count_steps(config.reinforcement, num_posts=6) == max(steps) == len(steps)
