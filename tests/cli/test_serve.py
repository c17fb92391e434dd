"""``serve`` before anything is started: what it would start, and what it refuses; the rest is tests/serving."""

from __future__ import annotations

import json
import shlex
import socket
from pathlib import Path

import pytest
from runs import QUIET, config_of
from typer.testing import CliRunner

from instruct_mner.cli import app, ui
from instruct_mner.errors import MnerError
from instruct_mner.serving import serve
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.log_files import engine_log_held
from instruct_mner.serving.settings import ServeSettings
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import finetune


@pytest.fixture(scope="module")
def run(tiny_models, tmp_path_factory) -> Path:
    """A run of one step."""
    folder = tmp_path_factory.mktemp("serve")
    changes = {"optimizer": {"max_steps": 1, "batch_size": 2}, "pixels": {"min_pixels": 3000, "max_pixels": 6000}}
    return finetune(load_config(config_of(tiny_models("qwen3_vl"), folder, **changes)), QUIET)


def invoke(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["serve", *map(str, arguments)], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_the_command_that_it_would_start(run: Path, tiny_models) -> None:
    queue = ("--max-queued", "7", "--max-queued-tokens", "900")
    further = ("--print-command", "--port", "81", *queue, "--vllm=--max-model-len=99")
    words = shlex.split(invoke(f"first={run}", f"second={run / 'adapter'}", *further))
    flags = words[words.index("-m") + 2 :]

    def after(flag: str) -> list[str]:
        rest = flags[flags.index(flag) + 1 :]
        return rest[: next((index for index, word in enumerate(rest) if word.startswith("--")), len(rest))]

    assert words[words.index("-m") + 1] == "vllm.entrypoints.openai.api_server"
    assert "VLLM_MEDIA_URL_ALLOW_REDIRECTS=0" in words
    assert after("--port") == ["81"]
    assert after("--max-num-queued-reqs") == ["7"]
    assert after("--max-num-queued-tokens") == ["900"]
    assert after("--model") == [str(tiny_models("qwen3_vl"))]
    assert after("--lora-modules") == [f"first={run / 'adapter'}", f"second={run / 'adapter'}"]
    assert after("--max-lora-rank") == ["8"]
    assert after("--max-loras") == ["2"]
    assert json.loads(after("--limit-mm-per-prompt")[0]) == {"image": 1, "video": 0}
    assert json.loads(after("--mm-processor-kwargs")[0]) == {"size": {"shortest_edge": 3000, "longest_edge": 6000}}
    assert json.loads(after("--structured-outputs-config")[0])["backend"] == "guidance"
    assert after("--allowed-media-domains") == ["nowhere.invalid"]
    assert "--enable-prefix-caching" in flags
    assert "--hf-overrides" not in flags
    assert flags[-1] == "--max-model-len=99"


def test_flags_are_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[ServeSettings] = []
    monkeypatch.setattr(serve, "serve", lambda settings, console: started.append(settings))
    flags = {
        "--max-body": 1, "--max-pixels": 2, "--max-text": 3, "--max-labels": 4, "--max-n": 5, "--max-requests": 6,
        "--max-posts": 7, "--max-rate": 8,
    }  # fmt: skip
    invoke("run", *(f"{flag}={value}" for flag, value in flags.items()))
    [settings] = started
    wanted = Limits(
        body_bytes=2**20, picture_pixels=2 * 10**6, text_characters=3, num_labels=4, num_choices=5, concurrency=6,
        num_posts=7, rate=8.0,
    )  # fmt: skip
    assert settings.limits == wanted
    invoke("run")
    assert started[-1].limits == Limits()


def test_a_base_model_and_domains(tiny_models) -> None:
    output = invoke("--model", tiny_models("idefics3"), "--print-command", "--allow-remote-pictures", "a.example")
    assert "--allowed-media-domains a.example" in output
    assert "--enable-lora" not in output
    # Without it vLLM would leave the output layer of a tied Idefics3 as the memory was.
    assert """--hf-overrides '{"text_config":{"tie_word_embeddings":true}}'""" in output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give an adapter"),
        (("nowhere",), "there is no such folder"),
        (("{empty}",), "holds no adapter"),
        (("image={run}",), "cannot be named 'image'"),
        (("a b={run}",), "cannot be named 'a b'"),
        (("a={run}", "a={run}"), "two models are named 'a'"),
        (("{run}", "--model", "nowhere"), "model nowhere cannot be loaded"),
        (("{run}", "--model", "{other}"), "the adapter was tuned on"),
        (("{run}", "--host", "0.0.0.0"), "INSTRUCT_MNER_API_KEY"),
        (("{run}", "--port", "{taken}"), "choose another port"),
        (("{run}", "--engine-log", "{held}"), "is being written by another run"),
    ],
)
def test_what_is_refused(
    arguments: tuple[str, ...], said: str, run: Path, tiny_models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INSTRUCT_MNER_API_KEY", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        names = {
            "run": run, "empty": tmp_path, "other": tiny_models("idefics3"), "taken": taken.getsockname()[1],
            "held": tmp_path / "vllm.log",
        }  # fmt: skip
        with engine_log_held(names["held"]), pytest.raises(MnerError, match=said):
            invoke(*(each.format(**names) for each in arguments))


def test_a_key_that_no_header_can_hold(monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    monkeypatch.setenv("INSTRUCT_MNER_API_KEY", "a\nb")
    with pytest.raises(MnerError, match="INSTRUCT_MNER_API_KEY"):
        invoke(run)


def test_a_folder_in_which_nothing_can_be_compiled(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request of the self-check would end vLLM, minutes later."""
    monkeypatch.setattr("instruct_mner.vllm_runtime.command.has_gpu", lambda: False)
    monkeypatch.setattr("tempfile.tempdir", "/tmp/my files")
    with pytest.raises(MnerError, match=r"TMPDIR is '/tmp/my files': .*; set TMPDIR to another folder"):
        invoke(run, "--print-command")
    monkeypatch.setattr("tempfile.tempdir", "/tmp/größe")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/tmp/it's")
    with pytest.raises(MnerError, match="set TORCHINDUCTOR_CACHE_DIR to another folder"):
        invoke(run, "--print-command")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    invoke(run, "--print-command")


def test_ui_serves_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ui.run.__doc__ is not None
    served: list[ServeSettings] = []
    monkeypatch.setattr(serve, "serve", lambda settings, console: served.append(settings))
    for arguments in (["ui", str(tmp_path), "--port", "81"], ["ui", "--model", "starter"]):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    first, second = served
    assert (first.adapters, first.model, first.port) == ((str(tmp_path),), None, 81)
    assert (second.adapters, second.model, second.host) == ((), "starter", "127.0.0.1")
    assert first.limits == Limits()
