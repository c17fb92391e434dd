"""A server that is ready, one whose engine is silent, and one that ends."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from conftest import running_gateway
from gateway_bodies import chat_body, text_part

from instruct_mner.serving.lifecycle import Lifecycle

CHAT = "/v1/chat/completions"
HI = chat_body(text_part("hi"))


def test_ready_as_long_as_the_engine_writes() -> None:
    now = [0.0]
    life = Lifecycle(4.0, lambda: now[0])
    assert not life.is_ready
    life.note_token()
    now[0] = 4.0
    assert life.is_ready
    now[0] = 4.1
    assert not life.is_ready


def test_a_silent_engine_is_asked_for_a_token_once_by_all_who_want_to_know() -> None:
    async def run() -> None:
        now, calls = [0.0], []

        async def probe() -> bool:
            calls.append(now[0])
            await asyncio.sleep(0)
            return True

        life = Lifecycle(4.0, lambda: now[0])
        assert await asyncio.gather(*[life.look(probe) for _ in range(3)]) == [True] * 3
        now[0] = 0.9
        assert await life.look(probe)
        now[0] = 1.1
        assert await life.look(probe)
        assert calls == [0.0, 1.1]

    asyncio.run(run())


def test_who_no_longer_waits_ends_no_question() -> None:
    async def run() -> None:
        life, writes = Lifecycle(), asyncio.Event()

        async def probe() -> bool:
            await writes.wait()
            return True

        first, second = (asyncio.create_task(life.look(probe)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        writes.set()
        assert await second

    asyncio.run(run())


def test_an_engine_without_a_token_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs() -> bool:
        await asyncio.Event().wait()
        return True

    async def fails() -> bool:
        return False

    monkeypatch.setattr("instruct_mner.serving.lifecycle._PROBE_SECONDS", 0.01)
    assert not asyncio.run(Lifecycle().look(hangs))
    assert not asyncio.run(Lifecycle().look(fails))


def test_an_engine_that_hangs_is_not_ready() -> None:
    with running_gateway(lambda body, number: (500, {})) as gateway:
        assert httpx.get(f"{gateway.url}/readyz").status_code == 200
        gateway.lifecycle._last_token = None
        assert httpx.get(f"{gateway.url}/readyz").status_code == 503
        assert httpx.get(f"{gateway.url}/health").status_code == 503
        assert httpx.get(f"{gateway.url}/livez").status_code == 200


def test_what_is_under_way_is_answered_and_the_rest_is_cut() -> None:
    begun, quick, never = threading.Semaphore(0), threading.Event(), threading.Event()

    def answer(body: dict, number: int) -> tuple[int, object]:
        begun.release()
        (quick if "quick" in str(body) else never).wait(30)
        return 200, {}

    def post(word: str) -> httpx.Response:
        return gateway.client.post(CHAT, json=chat_body(text_part(word)))

    with running_gateway(answer) as gateway, ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(post, word) for word in ("quick", "never")]
        for _ in answers:
            assert begun.acquire(timeout=30)
        gateway.lifecycle.is_draining = True
        refused = gateway.client.post(CHAT, json=HI)
        assert (refused.status_code, refused.json()["error"]["message"]) == (503, "the server is ending; try again")
        assert httpx.get(f"{gateway.url}/readyz").status_code == 503
        quick.set()
        assert answers[0].result(30).status_code == 200
        gateway.loop.call_soon_threadsafe(gateway.lifecycle.cut.set)
        cut = answers[1].result(30)
        never.set()
        assert cut.status_code == 503
        assert int(cut.headers["retry-after"]) >= 1
        assert cut.json()["error"]["message"] == "the server is ending; try again"


def test_draining_waits_for_requests_and_not_for_ever() -> None:
    async def run() -> None:
        life = Lifecycle()
        life.num_under_way = 1
        await life.drain(0.0)
        assert life.cut.is_set()
        other = Lifecycle()
        other.num_under_way = 1
        task = asyncio.create_task(other.drain(60))
        await asyncio.sleep(0)
        assert other.is_draining and not other.cut.is_set()
        other.num_under_way = 0
        await task
        assert other.cut.is_set()

    asyncio.run(run())
