"""Pauses between tries, and Ctrl-C while requests are under way."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest
from fake_server import first_word_is_a_person, serving
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.engines.engine import Request
from instruct_mner.engines.event_loop import run_in_thread
from instruct_mner.engines.retries import LONGEST_PAUSE_SECONDS, Pauses, may_pass
from instruct_mner.errors import ServingError


@given(st.floats(0.001, 5), st.floats(0, 100))
def test_pauses_grow_and_are_never_shorter_than_the_server_wants(first: float, wanted: float) -> None:
    pauses = Pauses(first)
    for number in range(12):
        pause = pauses.next(wanted)
        assert min(wanted, LONGEST_PAUSE_SECONDS) <= pause <= LONGEST_PAUSE_SECONDS
        assert pause >= min(0.5 * first * 2**number, 0.5 * LONGEST_PAUSE_SECONDS)


def test_clients_that_were_refused_together_do_not_come_again_together() -> None:
    assert len({Pauses(1.0).next() for _ in range(20)}) == 20


@pytest.mark.parametrize(("status", "passes"), [(400, False), (404, False), (408, True), (429, True), (503, True)])
def test_what_may_pass(status: int, passes: bool) -> None:
    assert may_pass(status) == passes


def test_a_coroutine_runs_beside_a_loop_and_its_error_comes_through() -> None:
    async def fail() -> None:
        raise ValueError("of the coroutine")

    async def outer() -> None:
        with pytest.raises(ValueError, match="of the coroutine"):
            run_in_thread(fail())

    asyncio.run(outer())


def test_ctrl_c_waits_for_nothing() -> None:
    cancelled = threading.Event()

    async def long() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    begin = time.monotonic()
    # A process that was started in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_in_thread(long())
    finally:
        signal.signal(signal.SIGINT, before)
    # The thread is not waited for: it ends on its own.
    assert cancelled.wait(30)
    assert time.monotonic() - begin < 30


def breaks_off(body: dict, number: int) -> tuple[int, object]:
    """Answer, but for the second to fourth request, whose connection ends without an answer."""
    if 1 <= number <= 3:
        raise ConnectionError("restarted")
    return first_word_is_a_person(body, number)


def engine(url: str, **changes: object) -> EndpointEngine:
    settings = {"first_retry_seconds": 0.001, "constraint": "none", "concurrency": 1, **changes}
    return EndpointEngine(Endpoint(url, "m", **settings))  # type: ignore[arg-type]


def test_a_restart_of_the_server_ends_no_run() -> None:
    with serving(breaks_off) as server:
        assert len(engine(server.url).generate([request("Ann"), request("Bob"), request("Cid")])) == 3
        assert len(server.bodies) == 6


@pytest.mark.parametrize("changes", [{"reconnect_seconds": 0.0}, {"max_retries": 0}])
def test_a_server_that_stays_away_is_given_up(changes: dict) -> None:
    with serving(breaks_off) as server, pytest.raises(ServingError, match="cannot be reached"):
        engine(server.url, **changes).generate([request("Ann"), request("Bob")])


def request(text: str) -> Request:
    messages = [{"role": "user", "content": [{"type": "text", "text": f"Post: {text}"}]}]
    return Request(messages=messages, images=(), max_tokens=9)
