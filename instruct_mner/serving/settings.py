"""Settings of ``serve``, and what is wrong with them that is seen without a model: told before any library loads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import IPv6Address
from pathlib import Path

from rich.console import Console

from instruct_mner.errors import ConfigError
from instruct_mner.schema.choices import Restart, ServedMissingImage
from instruct_mner.serving.keys import Client, Keys, check_key
from instruct_mner.serving.limits import Limits

KEY_VARIABLE = "INSTRUCT_MNER_API_KEY"
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?:(?P<host>[a-z0-9.-]+)|\[(?P<ipv6>[0-9a-f:.]+)\])(?::(?P<port>\d{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DOMAIN = re.compile(r"[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)*")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Settings of a server; fields are those of the command line."""

    adapters: tuple[str, ...]
    model: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    dtype: str = "auto"
    missing_image: ServedMissingImage = "text"
    remote_domains: tuple[str, ...] = ()
    keys: Path | None = None
    origins: tuple[str, ...] = ()
    access_log: Path | None = None
    max_queued: int | None = None
    max_queued_tokens: int | None = None
    restart: Restart = "never"
    engine_log: Path | None = None
    label_studio: str | None = None
    limits: Limits = field(default_factory=Limits)
    vllm: tuple[str, ...] = ()


def keys_of(settings: ServeSettings, console: Console) -> Keys | None:
    """Return the keys that clients must send: those of the file, or else the one of the environment.

    Raises:
        ConfigError: There are none, and others than this machine could send requests; or they cannot be used.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    if settings.keys is not None:
        keys = Keys.of_file(settings.keys)
        # The printed commands take the first key of the file into that variable, where it may still be.
        if key is not None and keys.client_of(b"Bearer " + os.fsencode(key)) is None:
            console.print(f"the key in {KEY_VARIABLE} is not taken: it is none of those in --keys", markup=False)
        return keys
    if key is None and settings.host not in _LOOPBACK:
        raise ConfigError(
            f"--host {settings.host} lets others ask: set {KEY_VARIABLE} to a key that they must send, give --keys, or "
            "leave --host out"
        )
    if key is None:
        return None
    check_key(key, KEY_VARIABLE)
    return Keys({"client": Client(key=key)})


def check_installed() -> None:
    """Check that what ``serve`` needs beside the package is installed.

    Raises:
        ConfigError: It is not.
    """
    missing = [name for name in ("vllm", "fastapi", "uvicorn", "httpx", "prometheus_client") if not find_spec(name)]
    if missing:
        raise ConfigError(f"'serve' needs {', '.join(missing)}: pip install 'instruct-mner[serve]'")


def checked_domains(domains: Iterable[str]) -> tuple[str, ...]:
    """Return the domains of ``--allow-remote-pictures`` in lower case, as those of addresses are compared.

    Raises:
        ConfigError: One is an address or a pattern, which no domain would ever equal.
    """
    lower = tuple(domain.lower() for domain in domains)
    for domain in lower:
        if not _DOMAIN.fullmatch(domain):
            raise ConfigError(
                f"--allow-remote-pictures {domain}: write a domain alone, such as pictures.example, without https://, "
                "port, path or '*'"
            )
    return lower


def checked_origins(origins: Iterable[str]) -> tuple[str, ...]:
    """Return the origins of ``--cors`` as browsers send them: in lower case, without the default port.

    Raises:
        ConfigError: One is no origin.
    """
    return tuple(origin if origin == "*" else _origin(origin) for origin in origins)


def _origin(origin: str) -> str:
    wrong = f"--cors {origin}: write an origin such as https://pages.example, without a path, or '*'"
    parts = _ORIGIN.fullmatch(origin.lower())
    if parts is None:
        raise ConfigError(wrong)
    scheme, host, ipv6, port = parts.group("scheme", "host", "ipv6", "port")
    try:
        host = host if ipv6 is None else f"[{IPv6Address(ipv6).compressed}]"
    except ValueError:
        raise ConfigError(wrong) from None
    number = _DEFAULT_PORTS[scheme] if port is None else int(port)
    if not 0 < number < 2**16:
        raise ConfigError(f"--cors {origin}: there is no port {number}; ports are 1 to 65535")
    return f"{scheme}://{host}" + ("" if number == _DEFAULT_PORTS[scheme] else f":{number}")
