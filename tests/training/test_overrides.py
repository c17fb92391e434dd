"""Settings of the command line in place of those of a config."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from instruct_mner.errors import ConfigError
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.overrides import override


def overridden(setting: str, **values: object) -> FinetuneConfig:
    values = {"model": "m", "data": {"train": "t.jsonl"}, "output": "runs/a", **values}
    override(values, setting, FinetuneConfig)
    return FinetuneConfig.model_validate(values)


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("optimizer.epochs=5", ("optimizer", "epochs"), 5),
        ("seed=010", ("seed",), 10),
        ("seed=008", ("seed",), 8),
        ("optimizer.max_steps=0_100", ("optimizer", "max_steps"), 100),
        ("labels=['1:30', 1:30.5, 2:15]", ("labels", "names"), ("1:30", "1:30.5", "2:15")),
        ("seed=0x10", ("seed",), 16),
        ("optimizer.learning_rate=2e-4", ("optimizer", "learning_rate"), 2e-4),
        ("tuning=full", ("tuning",), "full"),
        ("data.dev=null", ("data", "dev"), None),
        ("labels=[PER, LOC]", ("labels", "names"), ("PER", "LOC")),
        ("output=exp #2", ("output",), Path("exp #2")),
        ("output=#2", ("output",), Path("#2")),
        ("output=2024", ("output",), Path("2024")),
        ("data.train=conll:a: b.txt", ("data", "train"), "conll:a: b.txt"),
        ("data.dev=2024-13-45", ("data", "dev"), "2024-13-45"),
        ("data.dev='it is'", ("data", "dev"), "it is"),
        ("data.dev='90s.jsonl", ("data", "dev"), "'90s.jsonl"),
        ("data.images=", ("data", "images"), None),
        ("reinforcement.adapter=1e3", ("reinforcement", "adapter"), Path("1e3")),
        ("data.evaluate_on=['a #2']", ("data", "evaluate_on"), ("a #2",)),
    ],
)
def test_overrides(setting: str, path: tuple[str, ...], value: object) -> None:
    found: object = overridden(setting)
    for name in path:
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimizer={epochs: 7, epochs: 8}", "'epochs' is given twice"),
        ("labels=&a [*a]", "an alias stands within its own anchor"),
    ],
)
def test_what_a_file_may_not_hold_is_refused_too(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^--set {re.escape(setting)}: the value is not YAML; {message}$"):
        overridden(setting)


def test_an_hour_is_no_number() -> None:
    with pytest.raises(ValidationError, match="seed"):
        overridden("seed=1:30")


@pytest.mark.parametrize("before", [{"alignment": {"cross_view": None}}, {"alignment": None}, {}])
def test_a_setting_of_a_section_that_is_off_switches_it_on(before: dict[str, object]) -> None:
    config = overridden("alignment.cross_view.weight=0.5", **before)
    assert config.alignment.cross_view is not None
    assert config.alignment.cross_view.weight == 0.5


@pytest.mark.parametrize(
    "setting",
    [
        "epochs",
        "=3",
        "model.x=3",
        "seed=[1",
        "seed=2024-13-45",
        f"seed={'[' * 5000}",
        "seed=1 #2",
        "data.evaluate_on=[a] #2",
        "data.train=d\udce9.jsonl",
    ],
)
def test_overrides_that_are_none(setting: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        overridden(setting)
