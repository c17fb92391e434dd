"""What ``serve`` decides before it starts anything."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from instruct_mner.errors import ConfigError
from instruct_mner.serving import running, serve
from instruct_mner.serving.pictures import is_allowed_address
from instruct_mner.serving.serve import KEY_VARIABLE, ServeSettings

GOOD = "a-long-and-random-key-0123456789"


def settings(host: str = "127.0.0.1", keys: Path | None = None) -> ServeSettings:
    return ServeSettings(adapters=(), host=host, keys=keys)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_needs_no_key(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert serve._keys(settings(host)) is None


@pytest.mark.parametrize("value", [None, ""])
def test_others_must_send_a_key(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(KEY_VARIABLE, value)
    with pytest.raises(ConfigError, match=rf"--host 0\.0\.0\.0 lets others ask: set {KEY_VARIABLE}"):
        serve._keys(settings("0.0.0.0"))


def test_a_key_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, GOOD)
    assert serve._keys(settings("0.0.0.0")) is not None


def test_a_port_that_is_taken_is_a_config_error() -> None:
    with running.listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
        assert port > 0
        free.listen()
        with pytest.raises(ConfigError, match=rf"--host 127\.0\.0\.1 --port {port}: .*; choose another port"):
            running.listen("127.0.0.1", port)


def test_both_families_of_addresses_are_listened_on() -> None:
    with running.listen("127.0.0.1", 0) as listener:
        assert listener.family == socket.AF_INET
    with pytest.raises(ConfigError, match="choose another port"):
        running.listen("256.256.256.256", 8000)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name in {"vllm", "uvicorn"} else name)
    with pytest.raises(ConfigError, match=r"'serve' needs vllm, uvicorn: pip install 'instruct-mner\[serve\]'"):
        serve._check_installed()


def test_domains_are_checked_and_compared_in_lower_case() -> None:
    names = ["Pictures.Example", "localhost", "my_host", "10.0.0.7", "bücher.example"]
    domains = serve.checked_domains(names)
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
            serve.checked_domains([bad])


def test_origins_are_checked() -> None:
    serve.check_origins(["*", "https://pages.example", "http://[::1]:8000"])
    for bad in ("pages.example", "https://pages.example/", "file:///a", "https://a b"):
        with pytest.raises(ConfigError, match=r"--cors .*: write an origin"):
            serve.check_origins([bad])
