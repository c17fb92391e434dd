"""Restarts of an engine: as often as allowed, with longer and longer pauses; the gateway says 503 meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

import httpx
import pytest
from conftest import running_gateway
from gateway_bodies import post_body

from instruct_mner.errors import EngineEndedError, ModelError, ServingError
from instruct_mner.serving.lifecycle import Lifecycle
from instruct_mner.serving.restarts import RestartPolicy, keep_running
from instruct_mner.serving.running import checking
from instruct_mner.serving.self_check import _check_grammar
from instruct_mner.vllm_runtime.process import VllmProcess

POLICY = RestartPolicy(when="on-failure", most=3, first_seconds=0.01, poll_seconds=0.01)
KILLED = "import os; os.kill(os.getpid(), 9)"


def run(policy: RestartPolicy, tmp_path: Path, wait: list[Exception | None], code: str = KILLED) -> Lifecycle:
    """Watch an engine until the end; each wait for it succeeds, or fails."""
    life = Lifecycle()

    def ready() -> None:
        error = wait.pop(0)
        if error is not None:
            raise error

    async def watch() -> None:
        with VllmProcess([sys.executable, "-c", code], "", os.environ, tmp_path / "log") as vllm:
            await keep_running(vllm, policy, ready, life)

    with pytest.raises(EngineEndedError, match="SIGKILL") as caught:
        asyncio.run(watch())
    assert caught.value.exit_code == 137
    return life


def test_never_is_never(tmp_path: Path) -> None:
    life = run(RestartPolicy(poll_seconds=0.01), tmp_path, [])
    assert not life.is_starting


def test_as_often_as_allowed_with_longer_pauses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    run(POLICY, tmp_path, [None, ServingError("did not start"), None])
    said = [record.getMessage() for record in caplog.records]
    pauses = [line.partition("again in ")[2] for line in said if "started again" in line]
    assert pauses == [
        "0.01 seconds (restart 1 of 3)",
        "0.02 seconds (restart 2 of 3)",
        "0.04 seconds (restart 3 of 3)",
    ]
    assert said.count("vLLM is ready again") == 2
    assert "did not start" in said


def test_an_engine_that_fails_its_check_or_cannot_be_started_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")

    client = httpx.Client(transport=httpx.MockTransport(gone), base_url="http://vllm")
    with client, pytest.raises(ServingError) as caught:
        _check_grammar(client, "m")
    no_pictures, no_memory = ModelError("pictures do not reach 'm'"), OSError(12, "Cannot allocate memory")
    code = "import time; time.sleep(600)"
    life, errors = Lifecycle(), [caught.value, no_memory, no_pictures]

    def ready() -> None:
        raise errors.pop(0)

    async def watch() -> None:
        with VllmProcess([sys.executable, "-c", code], "", os.environ, tmp_path / "log") as vllm:
            vllm.stop()
            await keep_running(vllm, POLICY, ready, life)

    with pytest.raises(EngineEndedError, match=r"^vLLM is not started again: pictures do not reach 'm'$"):
        asyncio.run(watch())
    said = [record.getMessage() for record in caplog.records]
    assert said[1::2] == [
        "the self-check of 'm' failed: Server disconnected without sending a response.",
        "[Errno 12] Cannot allocate memory",
        "pictures do not reach 'm'",
    ]
    assert said[2].startswith("vLLM was not started again; it is started again in 0.02 seconds (restart 2 of 3)")


@pytest.mark.parametrize("ends", [True, False])
def test_a_check_that_fails_because_the_engine_ended_says_so(
    ends: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not ends:  # it is waited for, for seconds
        monkeypatch.setattr("instruct_mner.serving.running._END_SECONDS", 0.1)
    code = "print('last words', flush=True); " + ("raise SystemExit(3)" if ends else "import time; time.sleep(600)")
    said = r"^vLLM ended with exit code 3 while it was checked; (?s:.*)last words" if ends else "^the check$"
    process = VllmProcess([sys.executable, "-c", code], "", os.environ, tmp_path / "log")
    with process as vllm, pytest.raises(ServingError, match=said), checking(vllm):
        raise ServingError("the check")


def test_an_engine_that_was_well_for_long_starts_from_the_beginning(tmp_path: Path) -> None:
    waits: list[Exception | None] = [None] * 6
    policy = RestartPolicy(when="on-failure", most=1, first_seconds=0.01, poll_seconds=0.01, healthy_seconds=0.0)
    with pytest.raises(IndexError):
        run(policy, tmp_path, waits)
    assert waits == []


def test_while_it_starts_the_server_says_503() -> None:
    with running_gateway() as gateway:
        gateway.lifecycle.is_starting = True
        for path, body in (("/v1/entities", post_body()), ("/v1/chat/completions", {})):
            response = gateway.client.post(path, json=body)
            assert response.status_code == 503
            assert "started again" in response.json()["error"]["message"]
            assert int(response.headers["retry-after"]) >= 5
        assert gateway.client.get("/readyz").status_code == 503
        assert gateway.client.get("/livez").status_code == 200
