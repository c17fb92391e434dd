"""The name ``starter``, and adapters on it, mean the model of the package wherever a model is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo_adapters import DEMO, adapter_at

from instruct_mner.engines.vllm import VllmEngine
from instruct_mner.errors import ConfigError
from instruct_mner.models.description import describe_model
from instruct_mner.models.locations import STARTER_FOLDER
from instruct_mner.models.tuned import tuned_folder
from instruct_mner.tagging.engine_choice import manifest_of
from instruct_mner.tagging.settings import TaggingSettings
from instruct_mner.vllm_runtime.command import engine_arguments, server_arguments, vllm_environment
from instruct_mner.vllm_runtime.plan import make_plan

OWN = ("PER", "LOC", "ORG", "MISC")


@pytest.mark.parametrize(
    ("named", "model"), [((), "starter"), (("starter",), None), ((f"first={STARTER_FOLDER}",), None)]
)
def test_the_starter_is_served_as_it_was_trained(named: tuple[str, ...], model: str | None) -> None:
    plan = make_plan(named, model)
    assert plan.base == str(STARTER_FOLDER)
    assert plan.whole.name == ("first" if named and "=" in named[0] else "starter")
    assert plan.whole.manifest.answer.labels.names == OWN
    assert plan.whole.manifest.answer.format == "lines"


@pytest.mark.parametrize("named", [str(DEMO), f"demo={DEMO}"])
def test_an_adapter_on_the_starter(named: str) -> None:
    plan = make_plan((named,))
    assert [model.name for model in plan.models] == ["demo" if "=" in named else "starter-demo", "starter"]
    arguments = engine_arguments(plan)
    assert arguments[arguments.index("--model") + 1] == str(STARTER_FOLDER)
    assert plan.adapters[0].rank == 16


def _named(folder: Path, **values: object) -> str:
    return f"{folder.name}={adapter_at(folder, **values)}"


@pytest.mark.parametrize("model", [None, "starter"])
def test_adapters_on_two_commits_of_a_base_are_refused(tmp_path: Path, model: str | None) -> None:
    first = _named(tmp_path / "a", base_model="some/base", base_revision="1" * 40)
    second = _named(tmp_path / "b", base_model="some/base", base_revision="2" * 40)
    message = f"'a' and 'b' have different commits of some/base \\({'1' * 40} and {'2' * 40}\\): one vLLM serves one"
    with pytest.raises(ConfigError, match=message):
        make_plan((first, second), model)
    # In another place it has no commit that is known; two names may be of one base.
    other = _named(tmp_path / "c", base_model="/old/base", base_revision=None)
    plan = make_plan((first, other), "starter")
    assert (plan.revision, [model.name for model in plan.adapters]) == (None, ["a", "c"])


def test_an_adapter_of_another_chat_template_than_its_base_is_refused(tmp_path: Path) -> None:
    named = _named(tmp_path / "a")
    template = tmp_path / "a" / "chat_template.jinja"
    template.write_text("You find entities. " + template.read_text())
    with pytest.raises(ConfigError, match=r"'a' was tuned with another chat template than that of .*merge"):
        make_plan((named,))


@pytest.mark.parametrize("order", [1, -1])
def test_a_base_that_is_named_as_the_adapter_names_it_is_that_of_its_commit(tmp_path: Path, order: int) -> None:
    named = (
        _named(tmp_path / "a", base_revision="main"),
        _named(tmp_path / "b", base_model="/old/base", base_revision=None),
    )
    assert make_plan(named[::order], "starter").revision == "main"
    assert make_plan(named[:1]).revision == "main"


@pytest.mark.parametrize("name", ["starter", DEMO])
def test_vllm_in_this_process(name: str | Path) -> None:
    plan = VllmEngine.plan(name)
    assert plan.base == str(STARTER_FOLDER)
    assert len(plan.adapters) == (name != "starter")


def test_flashinfer_which_compiles_at_the_start_samples_only_where_the_user_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("VLLM_USE_FLASHINFER_SAMPLER", raising=False)
    assert vllm_environment()["VLLM_USE_FLASHINFER_SAMPLER"] == "0"
    monkeypatch.setenv("VLLM_USE_FLASHINFER_SAMPLER", "1")
    assert vllm_environment()["VLLM_USE_FLASHINFER_SAMPLER"] == "1"


def test_without_weights() -> None:
    assert describe_model("starter").name == "starter"
    assert manifest_of(TaggingSettings(model="starter"), ()).answer.labels.names == OWN


def test_a_path_is_a_folder_and_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "starter").mkdir()
    assert tuned_folder("starter") == STARTER_FOLDER
    assert tuned_folder("./starter") is None
    assert tuned_folder(Path("starter")) is None


def test_the_folder_of_finetune_with_data_holds_its_run(tmp_path: Path) -> None:
    """`finetune --data posts.csv -o DIR` writes config, posts and DIR/run."""
    weights = tmp_path / "run" / "adapter"
    weights.mkdir(parents=True)
    assert tuned_folder(tmp_path) is None
    (weights / "adapter_config.json").write_text("{}")
    assert tuned_folder(tmp_path) == tuned_folder(tmp_path / "run") == weights


def test_a_template_that_was_told_to_leave_thoughts_out_is_served(tiny_models) -> None:
    """Qwen3.5's own would open a thought in each prompt, which training did not."""
    plan = make_plan([], str(tiny_models("qwen3_5")))
    template = plan.chat_template
    assert template is not None
    assert "set enable_thinking = false" in template
    arguments = server_arguments(plan)
    assert arguments[arguments.index("--chat-template") + 1] == template
    # The engine in this process takes prompts, and has no such flag.
    assert "--chat-template" not in engine_arguments(plan)
    assert make_plan([], str(tiny_models("qwen3_vl"))).chat_template is None
