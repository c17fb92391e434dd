from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from runs import EVERYTHING

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.schema.labels import LabelSet
from instruct_mner.training import resolved_config
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.resolved_config import resolved_yaml
from instruct_mner.training.setup import Run

SHAPE = SimpleNamespace(num_layers=6, num_heads=4, width=32, num_types=2, features=32, image_token_id=9)


def run_of(labels: LabelSet, **values: Any) -> Run:
    config = FinetuneConfig.model_validate({"model": "m", "data": {"train": "t"}, "output": "o", **values})
    train = SimpleNamespace(examples=range(20), image_root=Path("pictures"))
    model = SimpleNamespace(config=SimpleNamespace(_attn_implementation="sdpa"))
    loaded = SimpleNamespace(revision=None, model=model, family=SimpleNamespace(sees=False))
    prompt = SimpleNamespace(name="tag.v1")
    spec = AnswerSpec(labels=labels)
    run = SimpleNamespace(
        config=config, train=train, loaded=loaded, prompt=prompt, spec=spec, alignment=config.alignment
    )
    return cast("Run", run)


@pytest.mark.parametrize("alignment", [{}, EVERYTHING], ids=["plain", "alignment"])
def test_no_setting_is_null(alignment: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolved_config, "heads_shape", lambda loaded, spec: SHAPE)
    text = resolved_yaml(run_of(LabelSet.of(["PER", "LOC"]), alignment=alignment))
    values = yaml.safe_load(text)
    assert "null" not in text
    assert values["labels"] == ["PER", "LOC"]
    assert (values["prompt"], values["data"]["images"]) == ("tag.v1", "pictures")
    assert values["optimizer"]["learning_rate"] == 2e-4
    assert (values["optimizer"]["max_steps"], values["evaluation"]["every_steps"]) == (9, 3)
    if not alignment:
        assert values["alignment"]["cross_view"] == "off"
    else:
        assert values["alignment"]["generative"]["layers"]


def test_definitions_are_kept() -> None:
    labels = LabelSet.model_validate({"PER": "people", "LOC": None})
    assert yaml.safe_load(resolved_yaml(run_of(labels)))["labels"] == {"PER": "people", "LOC": "none"}
