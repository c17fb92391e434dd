"""Addresses of servers, as users give them."""

from __future__ import annotations

from urllib.parse import urlsplit

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
        before, at, host = urlsplit(url).netloc.rpartition("@")
    except ValueError:  # no address, which those tell who use it
        return
    if before or at:
        raise ConfigError(f"the address of the server {host} holds a name or password before '@'; {remedy}")
