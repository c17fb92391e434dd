"""Addresses of servers, as users give them."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from instruct_mner.errors import ConfigError


def check_no_credentials(url: str, remedy: str) -> None:
    """Refuse an address with a name or a password: messages hold addresses, and it would take the place of the key.

    Args:
        url: Address of a server, or what is none.
        remedy: Way to give a key.

    Raises:
        ConfigError: It holds one, which the message does not.
    """
    try:
        _, at, host = urlsplit(url).netloc.rpartition("@")
    except ValueError:  # no address, which those tell who use it
        return
    if at:
        raise ConfigError(f"the address of the server {host} holds a name or password before '@'; {remedy}")


def is_address(url: str) -> bool:
    """Return true for an address of a server, ``http://HOST`` or ``https://HOST``, with or without port and path."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.host) and (parts.port is None or 0 < parts.port < 2**16)
