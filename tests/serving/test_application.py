"""Parts of the gateway that need a running vLLM, before stand-ins of one."""

from __future__ import annotations

import os
import signal
import socket
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from instruct_mner.errors import EngineEndedError, ServingError
from instruct_mner.serving import application
from instruct_mner.serving.application import context_window
from instruct_mner.serving.connections import ConnectionLimit
from instruct_mner.serving.lifecycle import Lifecycle
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.restarts import RestartPolicy
from instruct_mner.serving.running import open_gateway, run


def test_the_context_is_the_one_that_vllm_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(url: str, headers: dict[str, str], timeout: float) -> httpx.Response:
        assert (url, headers) == ("http://vllm/v1/models", {"Authorization": "Bearer k"})
        values = {"data": [{"id": "base", "max_model_len": 2048}, {"id": "adapter", "max_model_len": None}]}
        return httpx.Response(200, json=values, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    assert context_window("http://vllm", "k") == 2048


def test_a_vllm_that_ends_before_it_names_its_context_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(url: str, **_: object) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    monkeypatch.setattr(httpx, "get", get)
    with pytest.raises(ServingError, match="does not say how long its context is: Connection refused"):
        context_window("http://vllm", "k")


def test_placeholders_are_those_that_the_processor_has() -> None:
    processor = SimpleNamespace(image_token="<image>", boi_token="<begin>", eos_token="<end>")
    assert application._placeholders(processor) == {"<image>", "<begin>"}
    assert application._placeholders(object()) == set()


def test_the_gateway_ends_with_vllm() -> None:
    ready: list[int] = []
    vllm: Any = SimpleNamespace(is_running=False, ended=lambda: EngineEndedError("vLLM ended", 9))
    limits = Limits()
    connections = ConnectionLimit(limits.connections, limits.header_seconds, limits.header_bytes)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        opened = open_gateway(
            FastAPI(),
            vllm,
            listener,
            connections,
            Lifecycle(),
            limits,
            lambda: ready.append(True),
            RestartPolicy(),
            print,
        )
        with pytest.raises(EngineEndedError, match="vLLM ended") as caught:
            run(opened)
    assert ready == [1]
    assert caught.value.exit_code == 137


def test_a_signal_drains_and_ends_the_server() -> None:
    vllm: Any = SimpleNamespace(is_running=True)
    limits, life = Limits(), Lifecycle()
    connections = ConnectionLimit(limits.connections, limits.header_seconds, limits.header_bytes)

    def ready() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        run(open_gateway(FastAPI(), vllm, listener, connections, life, limits, ready, RestartPolicy(), print))
    assert life.is_draining
    assert life.cut.is_set()
