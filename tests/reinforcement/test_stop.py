"""The rule by which a run stops whose reward is exploited."""

from __future__ import annotations

import pytest

from instruct_mner.reinforcement.stop import exploited


def lines(scores: list[float], rewards: list[float]) -> list[dict[str, float]]:
    """An evaluation at step 0 and after every second step, and a reward for each pair of steps."""
    found: list[dict[str, float]] = [{"step": 0, "eval_f1": scores[0]}]
    for number, (score, reward) in enumerate(zip(scores[1:], rewards, strict=True), start=1):
        found += [{"step": 2 * number - 1, "reward": reward - 0.01}, {"step": 2 * number, "reward": reward + 0.01}]
        found.append({"step": 2 * number, "eval_f1": score})
    return found


@pytest.mark.parametrize(
    ("scores", "rewards", "stops"),
    [
        pytest.param([0.5, 0.6, 0.55, 0.54], [0.6, 0.7, 0.8], True, id="two worse, and the reward rises"),
        pytest.param([0.5, 0.6, 0.55, 0.54], [0.8, 0.7, 0.6], False, id="the reward falls too"),
        pytest.param([0.5, 0.6, 0.55, 0.61], [0.6, 0.7, 0.8], False, id="the score is back"),
        pytest.param([0.5, 0.6, 0.55], [0.6, 0.7], False, id="one worse is not enough"),
        pytest.param([0.7, 0.6, 0.55], [0.6, 0.7], True, id="never as good as the beginning"),
        pytest.param([0.7, 0.6, 0.55], [0.6, 0.6], False, id="nor more reward"),
        pytest.param([0.5, 0.6, 0.6, 0.6], [0.6, 0.7, 0.8], False, id="as good as the best is not worse"),
    ],
)
def test_it_stops_when_the_score_falls_while_the_reward_rises(scores, rewards, stops) -> None:
    assert bool(exploited(lines(scores, rewards), "eval_f1", patience=2)) is stops


def test_the_line_names_both_numbers_and_steps() -> None:
    reason = exploited(lines([0.5, 0.6, 0.55, 0.54], [0.6, 0.7, 0.8]), "eval_f1", patience=2)
    assert reason is not None
    assert "stopped at step 6" in reason
    assert "from 0.600 to 0.800" in reason
    assert "f1 on dev fell from 60.00 (step 2) to 54.00" in reason


def test_without_evaluations_it_goes_on() -> None:
    assert exploited([{"step": 1, "reward": 0.5}], "eval_f1", patience=1) is None
