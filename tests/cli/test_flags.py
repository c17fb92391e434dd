"""Flags of the verbs: their defaults are those of the package, and their help is in whole sentences."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any

import pytest
from typer.models import ArgumentInfo, OptionInfo

from instruct_mner.cli import (
    calibrate,
    context,
    convert,
    demo,
    env,
    evaluate,
    finetune,
    init,
    merge,
    options,
    output,
    serve,
    synth,
    tag,
    validate,
)
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.tagging.settings import TaggingSettings

VERBS = (calibrate, context, convert, demo, env, evaluate, finetune, init, merge, serve, synth, tag, validate)


def defaults(verb: Any) -> dict[str, Any]:
    """Defaults of the flags of a verb by their names."""
    return {name: parameter.default for name, parameter in inspect.signature(verb.run).parameters.items()}


def common(verb: Any, settings: type) -> list[tuple[str, object, object]]:
    """Name, default of the flag and default of the setting, of all that both have."""
    flags = defaults(verb)
    return [
        (field.name, flags[field.name], field.default)
        for field in dataclasses.fields(settings)
        if field.name in flags and field.default is not dataclasses.MISSING
    ]


def test_defaults_of_tag_are_those_of_its_settings() -> None:
    pairs = common(tag, TaggingSettings)
    assert {"constraint", "batch_size", "threshold", "num_examples"} <= {name for name, _, _ in pairs}
    assert [(name, flag) for name, flag, setting in pairs if (flag or None) != (setting or None)] == []


def test_defaults_of_synth_are_those_of_its_settings() -> None:
    pairs = common(synth, Synthesis)
    assert {"unrelated", "affixes"} <= {name for name, _, _ in pairs}
    known = [(name, flag, setting) for name, flag, setting in pairs if name not in {"domain", "split"}]
    assert [(name, flag, setting) for name, flag, setting in known if flag != setting] == []


@pytest.mark.parametrize("verb", [calibrate, evaluate])
def test_intervals_have_the_same_number_of_resamples(verb: Any) -> None:
    assert defaults(verb)["resamples"] == DEFAULT_NUM_RESAMPLES


@pytest.mark.parametrize("verb", VERBS)
def test_help_texts_are_whole_phrases(verb: Any) -> None:
    """A text names the thing ("Seed of the bootstrap."), it is no rest of a sentence ("Of the bootstrap.")."""
    parameters = inspect.signature(verb.run, eval_str=True).parameters.values()
    infos = [info for each in parameters for info in getattr(each.annotation, "__metadata__", ())]
    texts = [info.help or "" for info in infos if isinstance(info, OptionInfo | ArgumentInfo)]
    assert len(texts) == len(parameters)
    for text in texts:
        assert text[:1].isupper(), text
        assert text.endswith("."), text
        assert text.split()[0] not in {"Of", "Its", "Their", "Where", "What", "Which", "How", "Whether", "Who"}, text


def test_options_that_verbs_share_are_the_same() -> None:
    shared = {name: getattr(options, name) for name in dir(options) if name.endswith("Option")}
    assert len(shared) >= 4
    for verb in (convert, evaluate, validate):
        parameters = inspect.signature(verb.run, eval_str=True).parameters
        assert parameters["images"].annotation == shared["ImagesOption"]
        assert parameters["label_column"].annotation == shared["LabelColumnOption"]


def test_announced_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    output.announce("tag: loading m")
    output.print_json({"name": "Zoë"})
    captured = capsys.readouterr()
    assert captured.err == "tag: loading m\n"
    assert json.loads(captured.out) == {"name": "Zoë"}
    assert "Zoë" in captured.out
    assert output.table_console().width >= 80
    assert output.console().stderr
