"""What ``serve`` decides before it starts anything."""

from __future__ import annotations

import io
import socket
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

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
    assert serve._keys(settings(host), Console()) is None


@pytest.mark.parametrize("value", [None, ""])
def test_others_must_send_a_key(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(KEY_VARIABLE, value)
    with pytest.raises(ConfigError, match=rf"--host 0\.0\.0\.0 lets others ask: set {KEY_VARIABLE}"):
        serve._keys(settings("0.0.0.0"), Console())


def test_a_key_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, GOOD)
    assert serve._keys(settings("0.0.0.0"), Console()) is not None


def test_a_key_of_the_environment_that_is_not_taken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text("ann file-key-1\nbob file-key-2\n")
    for key, told in ((GOOD, True), ("file-key-2", False), ("", False)):
        monkeypatch.setenv(KEY_VARIABLE, key)
        console = Console(file=io.StringIO(), width=200)
        keys = serve._keys(settings(keys=file), console)
        assert keys is not None
        assert keys.client_of(f"Bearer {GOOD}".encode()) is None
        said = cast("io.StringIO", console.file).getvalue()
        assert (f"the key in {KEY_VARIABLE} is not taken: it is none of those in --keys" in said) == told
        assert GOOD not in said


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
    assert serve.checked_origins(given) == serve.checked_origins(as_sent) == as_sent
    for bad in ("pages.example", "https://pages.example/", "file:///a", "https://a b", "http://[::1::2]", "http://a:"):
        with pytest.raises(ConfigError, match=r"--cors .*: write an origin"):
            serve.checked_origins([bad])
    for bad in ("https://pages.example:99999", "http://a:0"):
        with pytest.raises(ConfigError, match=r"--cors .*: there is no port \d+; ports are 1 to 65535"):
            serve.checked_origins([bad])
