"""Settings of reinforcement, as a section of the config."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.reinforcement_settings import ReinforcementSettings, RewardWeights


def test_the_section_is_optional_and_stands_in_the_whole_config() -> None:
    values = {"model": "starter", "data": {"train": "posts.jsonl"}, "output": "run"}
    assert FinetuneConfig.model_validate(values).reinforcement == ReinforcementSettings()
    config = FinetuneConfig.model_validate({**values, "reinforcement": {"num_answers": 4}})
    assert config.reinforcement == ReinforcementSettings(num_answers=4)
    assert config.output == Path("run")


@pytest.mark.parametrize(
    "wrong", [{"num_answers": 1}, {"temperature": 0}, {"posts_per_step": 0}, {"rewards": {"spans": -1}}]
)
def test_what_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        ReinforcementSettings.model_validate(wrong)


def test_a_reward_for_finding_entities_there_must_be() -> None:
    with pytest.raises(ValidationError, match="nothing would be paid for finding entities"):
        RewardWeights(spans=0, types=0)
    assert RewardWeights(spans=0).types == 1
