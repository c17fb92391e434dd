"""Places for requests under way, rates of clients, and the pause after which a refused client may come again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from instruct_mner.serving.limits import TooManyError

_LONGEST_PAUSE = 60
# Share of a new request in the mean time of requests.
_WEIGHT = 0.1
# Seconds of its rate that a client may use at once.
_BURST_SECONDS = 10.0


class Places:
    """Places for requests under way.

    Args:
        most: Number of places.
        clock: Clock in seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._by_client: dict[str, int] = {}
        # Beginnings of the requests under way, in their order.
        self._begins: dict[int, float] = {}
        self._next = 0
        self._mean_seconds = 0.0

    @contextmanager
    def taken(self, client: str, num_clients: int) -> Iterator[None]:
        """Hold a place.

        Args:
            client: Name of the client.
            num_clients: Number of clients that there are.

        Raises:
            TooManyError: There is none; of several clients none has more than half of them.
        """
        if len(self._begins) >= self._most:
            raise TooManyError("too many requests are under way; try again", self.pause)
        if num_clients > 1 and self._by_client.get(client, 0) >= self._most / 2:
            raise TooManyError("too many requests with this key are under way; try again", self.pause)
        number, begin = self._next, self._clock()
        self._next += 1
        self._begins[number] = begin
        self._by_client[client] = self._by_client.get(client, 0) + 1
        try:
            yield
        finally:
            del self._begins[number]
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]
            self._mean_seconds += _WEIGHT * (self._clock() - begin - self._mean_seconds)

    @property
    def pause(self) -> int:
        """Seconds after which the requests that are under way now are answered, by the times of the last ones.

        Where the oldest of them have waited longer than that already, it is their time.
        """
        oldest = self._clock() - next(iter(self._begins.values())) if self._begins else 0.0
        return min(_LONGEST_PAUSE, max(1, math.ceil(max(self._mean_seconds, oldest))))


class Rates:
    """Rates of requests, by client; ten seconds of a rate may be used at once.

    Args:
        rate_of: Function that gives the rate of a client in requests a second; ``None`` = any number.
        clock: Clock in seconds.
    """

    def __init__(self, rate_of: Callable[[str], float | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_of = rate_of
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, client: str) -> None:
        """Take a request from what a client has left.

        Raises:
            TooManyError: The client has used up its rate.
        """
        rate = self._rate_of(client)
        if rate is None:
            return
        now, most = self._clock(), max(1.0, rate * _BURST_SECONDS)
        left, then = self._left.get(client, (most, now))
        left = min(most, left + rate * (now - then))
        if left < 1:
            self._left[client] = (left, now)
            pause = min(_LONGEST_PAUSE, math.ceil((1 - left) / rate))
            raise TooManyError(f"more than {rate:g} requests a second with this key; try again", pause)
        self._left[client] = (left - 1, now)

    def charge(self, client: str, amount: int) -> None:
        """Take further requests: the posts beside the first one of a request that has been let in.

        What is left may then be less than nothing, and the next request waits.
        """
        if client in self._left:
            left, then = self._left[client]
            self._left[client] = (left - amount, then)
