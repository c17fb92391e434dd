"""The loss of reinforcement and its gradient against a plain loop, over the grammar's probabilities."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from policies import prepared
from rich.console import Console

from instruct_mner.reinforcement.config import Start, reinforced_config
from instruct_mner.reinforcement.reinforce import build_trainer
from instruct_mner.reinforcement.rollouts import score_answers
from instruct_mner.reinforcement.trainer import ReinforceTrainer
from instruct_mner.training.setup import Run

CPU = torch.device("cpu")


def trainer_of(tiny_models, folder: Path, **settings: Any) -> tuple[Run, ReinforceTrainer]:
    """A trainer that goes on from a random adapter, three answers to each of two posts a step."""
    more = {"num_answers": 3, "posts_per_step": 2, **settings}
    run = prepared(tiny_models("idefics3"), folder, reinforcement=more, optimizer={"share_prompt_prefix": True})
    start = folder / "start"
    run.loaded.model.save_pretrained(start)
    base = replace(run.loaded, model=run.loaded.model.unload())
    config = reinforced_config(run.config)
    run = replace(run, config=config, loaded=base)
    trainer = build_trainer(
        run,
        Start(folder=start, manifest=run.manifest, sha256=""),
        config.output / "checkpoints",
        Console(quiet=True),
    )
    trainer.current_gradient_accumulation_steps = 2
    trainer.model.train()
    return run, trainer


def gradients(trainer: ReinforceTrainer) -> dict[str, torch.Tensor]:
    found = {name: each.grad.clone() for name, each in trainer.model.named_parameters() if each.grad is not None}
    trainer.model.zero_grad()
    return found


def tuned(model: Any) -> list[str]:
    return [name for name, each in model.named_parameters() if each.requires_grad]


@pytest.mark.parametrize(
    ("divergence", "scale"),
    [
        (0.0, "group"),
        (0.3, "batch"),
        *(pytest.param(*each, marks=pytest.mark.prove) for each in ((0.0, "batch"), (0.0, "none"), (0.3, "group"))),
    ],
)
def test_loss_and_gradient_are_those_of_a_plain_loop(divergence, scale, tiny_models, tmp_path) -> None:
    run, trainer = trainer_of(tiny_models, tmp_path, divergence=divergence, scale_rewards=scale)
    posts = run.train.examples[3:5]
    drawn = trainer.sampler.draw(posts, seed=trainer.args.seed * 1_000_003)
    inputs = trainer._draw(posts)
    if divergence:  # away from the adapter that it began with, by which the divergence is measured
        with torch.no_grad():
            for name, parameter in trainer.model.named_parameters():
                if parameter.requires_grad and "lora_B" in name:
                    parameter.add_(0.02)

    losses = []
    for each in inputs:
        loss = trainer._compute_loss(trainer.model, each)
        losses.append(loss.item())
        loss.backward()
    found = gradients(trainer)

    totals = [[float(value) for value in answers.totals] for answers in drawn]
    everything = torch.tensor(totals).flatten()
    num_tokens = sum(int(answers.mask.sum()) for answers in drawn)
    for answers, rewards, value in zip(drawn, totals, losses, strict=True):
        mean = sum(rewards) / 3
        spread = {"group": torch.tensor(rewards).std().item(), "batch": everything.std().item(), "none": 1.0 - 1e-4}
        logprobs, _ = score_answers(trainer.model, answers, CPU, temperature=1.0)
        with torch.no_grad():
            trainer.model.set_adapter("ref" if divergence else "default")
            before, _ = score_answers(trainer.model, answers, CPU, temperature=1.0)
            trainer.model.set_adapter("default")
        for name, parameter in trainer.model.named_parameters():
            parameter.requires_grad_("lora_" in name and ".ref." not in name)
        expected: Any = torch.zeros(())
        for row, reward in enumerate(rewards):
            advantage = (reward - mean) / (spread[scale] + 1e-4)
            for at in range(int(answers.mask[row].sum())):
                apart = before[row, at] - logprobs[row, at]
                ratio = torch.exp(logprobs[row, at] - logprobs[row, at].detach())
                expected = expected - ratio * advantage + divergence * (torch.exp(apart) - apart - 1)
        expected = expected / num_tokens
        assert value == pytest.approx(expected.item(), abs=1e-5)
        if expected.requires_grad:
            expected.backward()
    expected_gradients = gradients(trainer)
    assert any(each.abs().max() > 1e-6 for each in found.values())
    for name, gradient in expected_gradients.items():
        assert torch.allclose(found.get(name, torch.zeros_like(gradient)), gradient, atol=2e-6), name


def _with_others(others: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Stands for the gathering of two processes."""
    return torch.cat([own, others])


def test_processes_share_the_spread_of_a_batch(tiny_models, tmp_path, monkeypatch) -> None:
    """Here one process draws for a post of large and the other for one of small differences."""
    _, trainer = trainer_of(tiny_models, tmp_path, scale_rewards="batch")
    shares = torch.tensor([[[0.0, 1.0, 0.5]], [[0.5, 0.51, 0.5]]])
    expected = trainer._advantages(torch.cat(list(shares)))
    for number, own in enumerate(shares):
        monkeypatch.setattr(trainer.accelerator, "gather", partial(_with_others, shares[1 - number]))
        assert torch.allclose(trainer._advantages(own), expected[number : number + 1])


def test_a_step_along_the_gradient_makes_better_answers_more_likely(tiny_models, tmp_path) -> None:
    run, trainer = trainer_of(tiny_models, tmp_path)
    inputs = next(each for each in trainer._draw(run.train.examples) if each["advantages"].any())
    answers = inputs["answers"]
    trainer._compute_loss(trainer.model, inputs).backward()
    before, _ = score_answers(trainer.model, answers, CPU, temperature=1.0)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.01 * parameter.grad)
    after, _ = score_answers(trainer.model, answers, CPU, temperature=1.0)
    gained = ((after - before) * answers.mask).sum(dim=1).detach()
    assert (gained * inputs["advantages"]).sum() > 0


def test_answers_of_equal_worth_need_no_forward(tiny_models, tmp_path) -> None:
    run, trainer = trainer_of(tiny_models, tmp_path)
    [inputs] = trainer._draw(run.train.examples[3:4])
    inputs["advantages"] = torch.zeros(3)
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in gradients(trainer).values())


def test_the_adapter_alone_is_trained(tiny_models, tmp_path) -> None:
    _, trainer = trainer_of(tiny_models, tmp_path, divergence=0.1)
    names = tuned(trainer.model)
    assert names
    assert all("lora_" in name and ".ref." not in name for name in names)


def test_a_step_draws_each_post_as_often_as_asked_and_logs_every_reward(tiny_models, tmp_path) -> None:
    _, trainer = trainer_of(tiny_models, tmp_path)
    rows = [{"index": index} for index in (0, 0, 0, 4, 4, 4)]
    first = trainer._prepare_inputs(rows)
    trainer._step += 1
    second = trainer._prepare_inputs(rows)
    assert first["completion_ids"].shape[0] == second["completion_ids"].shape[0] == 3
    assert float(first["num_items_in_batch"]) == first["completion_mask"].sum() + second["completion_mask"].sum()
    logged = trainer._metrics["train"]
    for name in ("spans", "types", "boxes", "not_visible"):
        expected = [*first["answers"].rewards[name], *second["answers"].rewards[name]]
        assert logged[f"rewards/{name}"] == [pytest.approx(sum(expected) / 6)]
    assert logged["answers/illegal"] == [0.0]


def test_tokens_that_another_engine_draws_are_weighted_by_how_likely_they_are_here(tiny_models, tmp_path) -> None:
    run, trainer = trainer_of(tiny_models, tmp_path)
    drawn = next(each for each in trainer._draw(run.train.examples) if each["advantages"].any())
    answers, advantages = drawn["answers"], drawn["advantages"]
    with torch.no_grad():
        here, _ = score_answers(trainer.model, answers, CPU, temperature=1.0)
    for apart in (0.0, 0.1, -0.3, -1.0):
        there = replace(answers, drawn=(here + apart) * answers.mask)
        with torch.no_grad():
            found = trainer._inputs(there, advantages, torch.tensor(1.0))["advantages"]
        expected = min(2.0, math.exp(-apart))
        mask = answers.mask.bool()
        assert torch.allclose(found[mask], (advantages.unsqueeze(1) * expected).expand_as(found)[mask], atol=1e-4)
