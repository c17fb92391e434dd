"""Retries of requests: which errors may pass, and the pauses between tries."""

from __future__ import annotations

import random
from typing import Any

REQUEST_TIMEOUT, TOO_MANY_REQUESTS, SERVER_ERRORS, UNAVAILABLE = 408, 429, 500, 503
LONGEST_PAUSE_SECONDS = 30.0


class Pauses:
    """Pauses between the tries of a request, each twice as long as the one before, give or take a half.

    Args:
        first_seconds: Mean of the first pause.
    """

    def __init__(self, first_seconds: float) -> None:
        self._mean_seconds = first_seconds

    def next(self, at_least: float = 0.0) -> float:
        """Return the next pause in seconds.

        Clients that were refused together do not come again together, and one second, which a server says to all of
        them, is not enough where it is refused again and again.

        Args:
            at_least: Pause that the server wants.
        """
        seconds = self._mean_seconds * random.uniform(0.5, 1.5)  # noqa: S311 (guards nothing)
        self._mean_seconds = min(2 * self._mean_seconds, LONGEST_PAUSE_SECONDS)
        return min(max(at_least, seconds), LONGEST_PAUSE_SECONDS)


def may_pass(status: int) -> bool:
    """Return whether a request that was refused so may be taken later."""
    return status in {REQUEST_TIMEOUT, TOO_MANY_REQUESTS} or status >= SERVER_ERRORS


def retry_after(error: Any) -> float | None:
    """Return the pause that the server asks for, if it gives seconds."""
    try:
        return max(0.0, float(error.response.headers.get("retry-after", "")))
    except ValueError:
        return None
