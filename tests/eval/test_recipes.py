"""The recipes under `eval` are configs that `finetune` takes, for every model and with and without pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from eval.experiments import experiment
from instruct_mner.training.config import FinetuneConfig

EVAL = Path(__file__).resolve().parents[2] / "eval" / "experiments"
RECIPES = sorted(path.stem for path in (EVAL / "recipes").glob("*.yaml"))
MODELS = sorted(path.stem for path in (EVAL / "models").glob("*.yaml"))


def test_all_that_is_promised_is_there() -> None:
    assert {"twitter2015", "twitter2017", "gmner", "fmnerg"} <= set(RECIPES)
    assert {"qwen2_5_vl_7b", "qwen3_vl_8b", "smolvlm2_2b"} <= set(MODELS)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_a_config(recipe, model) -> None:
    settings = experiment.Experiment(
        recipe=experiment.read("recipes", recipe, {"data": "some/folder"}),
        model=experiment.read("models", model, {}),
        images="pictures",
        seeds=[0, 1, 2],
        output=Path("runs"),
        command="",
    )
    with_pictures = FinetuneConfig.model_validate(settings.config("pictures", 1))
    text_only = FinetuneConfig.model_validate(settings.config("text", 1))
    assert with_pictures.seed == text_only.seed == 1
    assert (with_pictures.max_images, text_only.max_images) == (1, 0)
    assert with_pictures.optimizer == text_only.optimizer
    assert "{" not in with_pictures.data.train
    if recipe != "smoke":
        assert with_pictures.data.evaluate_on == (settings.recipe["test"],)


@pytest.mark.parametrize("path", sorted((EVAL.parents[1] / "adapters").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_adapter_recipes_are_sections_of_a_config(path) -> None:
    values = yaml.safe_load(path.read_text())
    FinetuneConfig.model_validate({"model": "m", "data": {"train": "t"}, "output": "o", **values})


def test_means_and_deviations() -> None:
    assert experiment.spread([0.5, 0.7]) == "60.00 ± 14.14"
    assert experiment.merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
