"""The plugin of vLLM: which grammars it takes, and what it leaves to vLLM."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from llguidance import LLTokenizer

from instruct_mner.answers import codec
from instruct_mner.answers.counted_grammar import with_counting
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.schema.labels import LabelSet
from instruct_mner.vllm_runtime.counting import CountingGrammar

SPEC, TEXT = AnswerSpec(labels=LabelSet.of(["PER"])), "Ann, Bo, Ann"
BACKEND = cast("Any", SimpleNamespace(ll_tokenizer=LLTokenizer("byte")))


def test_vllm_finds_it() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
    [entry] = project["entry-points"]["vllm.general_plugins"].values()
    assert entry == "instruct_mner.vllm_runtime.plugin:install"


# Importing vLLM takes seconds.
@pytest.mark.prove
def test_it_takes_grammars_that_carry_the_post_and_leaves_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed (make setup brings it)")
    from vllm.v1.structured_output.backend_guidance import GuidanceBackend
    from vllm.v1.structured_output.backend_types import StructuredOutputOptions

    from instruct_mner.vllm_runtime import plugin

    monkeypatch.setattr(plugin, "_compile_uncounted", lambda *_: "vLLM's")
    monkeypatch.setattr(GuidanceBackend, "compile_grammar", GuidanceBackend.compile_grammar)
    plugin.install()
    plain = codec.grammar(SPEC, TEXT, 0)
    counted = with_counting(plain, RestOfAnswer(SPEC, TEXT, 0))
    options = StructuredOutputOptions
    grammar = GuidanceBackend.compile_grammar(BACKEND, options.GRAMMAR, counted, stop_token_ids={1})
    assert isinstance(grammar, CountingGrammar)
    assert grammar.accept_tokens("r", [*b"PER: Bo\nPER: "])
    assert not grammar.accept_tokens("r", [*b"Bo"])
    for kind, spec in ((options.GRAMMAR, plain), (options.REGEX, counted), (options.GRAMMAR, counted + "start: <<<")):
        assert GuidanceBackend.compile_grammar(BACKEND, kind, spec) == cast("Any", "vLLM's")

    monkeypatch.setattr(RestOfAnswer, "__call__", lambda *_: 1 / 0)
    grammar = GuidanceBackend.compile_grammar(BACKEND, options.GRAMMAR, counted)
    assert grammar.accept_tokens("r", [*b"PER: Bo\nPER: Bo\nPER: Bo"])
