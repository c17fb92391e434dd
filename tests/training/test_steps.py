from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.training.optimizer_settings import EvaluationSettings, OptimizerSettings
from instruct_mner.training.steps import Estimate, count_evaluations, count_steps, peak_bytes, steps_of_an_epoch


@given(st.integers(1, 500), st.integers(1, 32), st.integers(1, 8), st.integers(1, 4))
def test_steps_see_every_post_once(num_posts: int, batch_size: int, accumulation: int, epochs: int) -> None:
    optimizer = OptimizerSettings(batch_size=batch_size, gradient_accumulation_steps=accumulation, epochs=epochs)
    batches = len(range(0, num_posts, batch_size))
    steps = len(range(0, batches, accumulation))
    assert steps_of_an_epoch(optimizer, num_posts) == steps
    assert count_steps(optimizer, num_posts) == epochs * steps
    assert steps_of_an_epoch(optimizer, num_posts, 2) == math.ceil(math.ceil(num_posts / batch_size / 2) / accumulation)
    assert count_evaluations(optimizer, EvaluationSettings(), num_posts) == epochs


def test_a_number_of_steps_goes_before_epochs() -> None:
    optimizer = OptimizerSettings(max_steps=7, batch_size=1)
    assert count_steps(optimizer, 100) == 7
    assert count_evaluations(optimizer, EvaluationSettings(every_steps=3), 100) == 2


def test_an_estimate_takes_the_last_step_that_was_tried() -> None:
    estimate = Estimate(num_steps=100, step_seconds=(9.0, 3.5), num_evaluations=2, dev_seconds=30, peak_bytes=3 * 2**30)
    first, second, third = estimate.describe().splitlines()
    assert first == "steps    100, about 0:05:50 (steps tried here: 9.00, 3.50 s)"
    assert second == "dev      scored 2 times, about 0:01:00 together"
    assert third.startswith("peak     3.0 GiB of ")
    assert peak_bytes() >= 0
