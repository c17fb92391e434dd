from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import aligned_run, trainer_of

from instruct_mner.testing.posts import make_posts
from instruct_mner.training.optimizer_settings import OptimizerSettings
from instruct_mner.training.steps import Estimate, count_evaluations, count_steps, peak_bytes, steps_of_an_epoch


@given(st.integers(1, 500), st.integers(1, 32), st.integers(1, 8), st.integers(1, 4))
def test_steps_see_every_post_once(num_posts: int, batch_size: int, accumulation: int, epochs: int) -> None:
    optimizer = OptimizerSettings(batch_size=batch_size, gradient_accumulation_steps=accumulation, epochs=epochs)
    batches = len(range(0, num_posts, batch_size))
    steps = len(range(0, batches, accumulation))
    assert steps_of_an_epoch(optimizer, num_posts) == steps
    assert count_steps(optimizer, num_posts) == epochs * steps
    assert steps_of_an_epoch(optimizer, num_posts, 2) == math.ceil(math.ceil(num_posts / batch_size / 2) / accumulation)
    assert count_evaluations(epochs * steps, steps) == epochs


def test_a_number_of_steps_goes_before_epochs() -> None:
    optimizer = OptimizerSettings(max_steps=7, batch_size=1)
    assert count_steps(optimizer, 100) == 7
    assert count_evaluations(7, 3) == 3


@pytest.mark.parametrize(
    ("every", "max_steps", "steps"), [(2, 5, [2, 4, 5]), (None, 5, [3, 5]), (None, 2, [2]), (2, 4, [2, 4])]
)
def test_dev_is_scored_as_often_as_told(
    every: int | None, max_steps: int, steps: list[int], tiny_models, tmp_path
) -> None:
    """Three steps are an epoch of the six posts."""
    optimizer = {"max_steps": max_steps, "batch_size": 2}
    data = {part: str(make_posts(tmp_path / part)) for part in ("train", "dev")}
    run = aligned_run(
        tiny_models("llama"), tmp_path, {}, optimizer=optimizer, evaluation={"every_steps": every}, data=data
    )
    trainer = trainer_of(run)
    trainer.dev_evaluation = lambda: {"f1": 0.5}
    trainer.train()
    assert [line["step"] for line in trainer.state.log_history if "eval_f1" in line] == steps
    assert count_evaluations(max_steps, every or steps_of_an_epoch(run.config.optimizer, 6)) == len(steps)


def test_an_estimate_takes_the_last_step_that_was_tried() -> None:
    estimate = Estimate(num_steps=100, step_seconds=(9.0, 3.5), num_evaluations=2, dev_seconds=30, peak_bytes=3 * 2**30)
    first, second, third = estimate.describe().splitlines()
    assert first == "steps    100, about 0:05:50 (steps tried here: 9.00, 3.50 s)"
    assert second == "dev      scored 2 times, about 0:01:00 together"
    assert third.startswith("peak     3.0 GiB of ")
    assert peak_bytes() >= 0
