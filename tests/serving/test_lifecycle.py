"""A server that is ready, one whose engine is silent, and one that ends."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
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


def test_a_silent_engine_is_asked_for_a_token() -> None:
    async def run() -> None:
        life, asked_again = Lifecycle(0.05), asyncio.Event()

        async def probe() -> bool:
            if life.is_ready:
                return True
            asked_again.set()
            return True

        watcher = asyncio.create_task(life.watch(probe))
        await asked_again.wait()
        await asyncio.sleep(0)
        assert life.is_ready
        watcher.cancel()

    asyncio.run(run())


def test_an_engine_that_hangs_is_not_ready() -> None:
    with running_gateway() as gateway:
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
