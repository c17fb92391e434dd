"""What ``serve`` decides before it starts anything."""

from __future__ import annotations

import io
import os
import signal
import socket
import sys
from pathlib import Path
from typing import cast

import pytest
from fastapi import FastAPI
from rich.console import Console

from instruct_mner.errors import ConfigError
from instruct_mner.serving import running
from instruct_mner.serving import settings as serve_settings
from instruct_mner.serving.connections import ConnectionLimit
from instruct_mner.serving.lifecycle import Lifecycle
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.pictures import is_allowed_address
from instruct_mner.serving.restarts import RestartPolicy
from instruct_mner.serving.settings import (
    KEY_VARIABLE,
    ServeSettings,
    check_installed,
    checked_domains,
    checked_origins,
    keys_of,
)
from instruct_mner.vllm_runtime.process import VllmProcess

GOOD = "a-long-and-random-key-0123456789"


def settings(host: str = "127.0.0.1", keys: Path | None = None) -> ServeSettings:
    return ServeSettings(adapters=(), host=host, keys=keys)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_needs_no_key(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert keys_of(settings(host), Console()) is None


@pytest.mark.parametrize("value", [None, ""])
def test_others_must_send_a_key(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(KEY_VARIABLE, value)
    with pytest.raises(ConfigError, match=rf"--host 0\.0\.0\.0 lets others ask: set {KEY_VARIABLE}"):
        keys_of(settings("0.0.0.0"), Console())


def test_a_key_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, GOOD)
    assert keys_of(settings("0.0.0.0"), Console()) is not None


def test_a_key_of_the_environment_that_is_not_taken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text("ann file-key-1\nbob file-key-2\n")
    for key, told in ((GOOD, True), ("file-key-2", False), ("", False)):
        monkeypatch.setenv(KEY_VARIABLE, key)
        console = Console(file=io.StringIO(), width=200)
        keys = keys_of(settings(keys=file), console)
        assert keys is not None
        assert keys.client_of(f"Bearer {GOOD}".encode()) is None
        said = cast("io.StringIO", console.file).getvalue()
        assert (f"the key in {KEY_VARIABLE} is not taken: it is none of those in --keys" in said) == told
        assert GOOD not in said


def listens(host: str, port: int) -> None:
    with running.listen(host, port):
        pass


def opened(app: FastAPI, listener: socket.socket) -> list[str]:
    """Open a gateway that a signal ends as soon as it is ready; return what it said."""
    limits, said = Limits(), list[str]()

    def ready() -> None:
        said.append("ready")
        signal.raise_signal(signal.SIGTERM)

    process = VllmProcess([sys.executable, "-c", "import time; time.sleep(600)"], "", os.environ)
    with process as vllm:
        connections = ConnectionLimit(limits.connections, limits.header_seconds, limits.header_bytes)
        policy = RestartPolicy()
        running.run(
            running.open_gateway(app, vllm, listener, connections, Lifecycle(), limits, ready, policy, lambda: None)
        )
    return said


def test_a_port_that_is_taken_is_a_config_error() -> None:
    with running.listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
        assert port > 0
        refusal = rf"--host 127\.0\.0\.1 --port {port}: Address already in use; choose another port"
        # Also by a server that is not ready yet.
        with pytest.raises(ConfigError, match=refusal):
            listens("127.0.0.1", port)
        free.listen()
        with pytest.raises(ConfigError, match=refusal):
            listens("127.0.0.1", port)
    listens("127.0.0.1", port)


def test_a_port_that_another_program_takes_while_vllm_starts_is_a_config_error() -> None:
    with running.listen("127.0.0.1", 0) as ours:
        assert opened(FastAPI(), ours) == ["ready"]
    with running.listen("127.0.0.1", 0) as ours, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(ours.getsockname())
        other.listen()
        with pytest.raises(ConfigError, match=r"--port \d+: Address already in use; choose another port"):
            opened(FastAPI(), ours)


def test_both_families_of_addresses_are_listened_on() -> None:
    for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        with running.listen(host, 0) as listener:
            assert listener.family == family


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("256.256.256.256", "Name or service not known"),
        ("nosuch.invalid", "not known|name resolution|No address"),
        ("192.0.2.1", "Cannot assign requested address"),
        ("a..b", "no host has such a name"),
        ("a" * 64, "no host has such a name"),
        ("", "Name or service not known"),
    ],
)
def test_a_host_that_is_none_of_this_machine_is_said_to_be_it(host: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"^--host {host}: .*({reason}).*; give a name or address of this machine"):
        listens(host, 8000)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_settings, "find_spec", lambda name: None if name in {"vllm", "uvicorn"} else name)
    with pytest.raises(ConfigError, match=r"'serve' needs vllm, uvicorn: pip install 'instruct-mner\[serve\]'"):
        check_installed()


def test_domains_are_checked_and_compared_in_lower_case() -> None:
    names = ["Pictures.Example", "localhost", "my_host", "10.0.0.7", "bücher.example"]
    domains = checked_domains(names)
    assert all(is_allowed_address(f"https://{name}/a.png", domains) for name in names)
    for bad in (
        "http://x/y",
        "x/y",
        "a.example:8080",
        "*.example",
        "a.example,b.example",
        "",
        "a b",
        ".example",
        "u@x",
    ):
        with pytest.raises(ConfigError, match=r"--allow-remote-pictures .*: write a domain alone"):
            checked_domains([bad])


def test_origins_are_checked_and_written_as_browsers_send_them() -> None:
    given = [
        "*",
        "https://Pages.Example:443",
        "HTTP://a:80",
        "http://a:443",
        "http://[0:0::1]:08000",
        "http://[::A]:80",
    ]
    as_sent = ("*", "https://pages.example", "http://a", "http://a:443", "http://[::1]:8000", "http://[::a]")
    assert checked_origins(given) == checked_origins(as_sent) == as_sent
    for bad in ("pages.example", "https://pages.example/", "file:///a", "https://a b", "http://[::1::2]", "http://a:"):
        with pytest.raises(ConfigError, match=r"--cors .*: write an origin"):
            checked_origins([bad])
    for bad in ("https://pages.example:99999", "http://a:0"):
        with pytest.raises(ConfigError, match=r"--cors .*: there is no port \d+; ports are 1 to 65535"):
            checked_origins([bad])
