"""The files of settings under `eval` and `adapters` are parts of configs that `finetune` takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from instruct_mner.experiment.plan import ExperimentSettings, make_plan
from instruct_mner.quickstart import demo
from instruct_mner.training.config import FinetuneConfig

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted((ROOT / "eval" / "experiments" / "models").glob("*.yaml"))
SETS = {"twitter2015": "valid.txt", "gmner": "txt/dev.txt", "fmnerg": "dev.txt"}


def test_all_that_is_promised_is_there() -> None:
    assert {"qwen2_5_vl_7b", "qwen3_vl_8b", "smolvlm2_2b"} <= {path.stem for path in MODELS}


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", SETS)
def test_settings_of_a_model_are_a_base_config_on_every_set(name: str, model: Path, tmp_path: Path) -> None:
    dev = tmp_path / SETS[name]
    dev.parent.mkdir(exist_ok=True)
    for path in (dev, dev.with_name("train.txt"), dev.with_name("test.txt")):
        path.touch()
    settings = ExperimentSettings(
        data=name,
        model="some/model",
        arms=("plain", "text-only"),
        num_seeds=3,
        output=tmp_path / "out",
        folder=tmp_path,
        images=Path("pictures"),
        config=model,
    )
    plan = make_plan(settings)
    with_pictures, text_only = (plan.config(arm, 1) for arm in plan.arms)
    assert with_pictures.seed == text_only.seed == 1
    assert (with_pictures.max_images, text_only.max_images) == (1, 0)
    assert with_pictures.optimizer == text_only.optimizer
    assert with_pictures.model == "some/model"
    assert with_pictures.lora.rank == yaml.safe_load(model.read_text())["lora"]["rank"]
    assert with_pictures.answer.grounded is (name in {"gmner", "fmnerg"})
    assert with_pictures.data.images == Path("pictures")


@pytest.mark.parametrize("path", sorted((ROOT / "adapters").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_adapter_recipes_are_sections_of_a_config(path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    FinetuneConfig.model_validate({"model": "m", "data": {"train": "t"}, "output": "o", **values})


def test_the_demo_trains_as_the_starters_recipe_does(tmp_path: Path) -> None:
    shown = demo._config(tmp_path)
    recipe = yaml.safe_load((ROOT / "adapters" / "starter.yaml").read_text())
    assert {"lora", "alignment", "optimizer"} <= set(recipe)
    assert FinetuneConfig.model_validate({**shown.model_dump(), **recipe}) == shown
