"""A server that is ready, one whose engine is silent, and one that ends."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from conftest import running_gateway
from gateway_bodies import chat_body, text_part

from instruct_mner.serving import lifecycle
from instruct_mner.serving.lifecycle import Lifecycle

CHAT = "/v1/chat/completions"
HI = chat_body(text_part("hi"))


def test_a_silent_engine_is_asked_for_a_token_once_by_all_who_want_to_know() -> None:
    async def run() -> None:
        now, calls = [0.0], []

        async def probe() -> bool:
            calls.append(now[0])
            await asyncio.sleep(0)
            return True

        life = Lifecycle(lambda: now[0])
        assert await asyncio.gather(*[life.is_ready(probe) for _ in range(3)]) == [True] * 3
        now[0] = 0.9
        assert await life.is_ready(probe)
        now[0] = 1.1
        assert await life.is_ready(probe)
        assert calls == [0.0, 1.1]

    asyncio.run(run())


def test_who_no_longer_waits_ends_no_question() -> None:
    async def run() -> None:
        life, writes = Lifecycle(), asyncio.Event()

        async def probe() -> bool:
            await writes.wait()
            return True

        first, second = (asyncio.create_task(life.is_ready(probe)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        writes.set()
        assert await second

    asyncio.run(run())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instruct_mner.serving.lifecycle._PROBE_SECONDS", 0.02)
    monkeypatch.setattr("instruct_mner.serving.lifecycle._RETRY_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
def test_an_engine_without_a_token_is_not_ready() -> None:
    async def hangs() -> bool:
        await asyncio.Event().wait()
        return True

    async def fails() -> bool:
        return False

    assert not asyncio.run(Lifecycle().is_ready(hangs))
    assert not asyncio.run(Lifecycle().is_ready(fails))


@pytest.mark.usefixtures("impatient")
def test_a_token_for_another_request_is_one() -> None:
    async def run() -> None:
        life = Lifecycle()

        async def probe() -> bool:
            life.note_token()
            return False

        assert await life.is_ready(probe)

    asyncio.run(run())


@pytest.mark.parametrize("seconds", [0.0, 0.9])
@pytest.mark.parametrize("pause", [0.05, 0.5, 1.0])
def test_an_engine_that_hangs_is_red_within_five_seconds_of_the_last_token(seconds: float, pause: float) -> None:
    """Simulate clients that ask again and again: a question takes the whole time of a probe."""
    now = [seconds]
    longest = lifecycle._PROBE_SECONDS

    async def hangs() -> bool:
        now[0] += longest
        raise TimeoutError

    async def run() -> float:
        life = Lifecycle(lambda: now[0])
        life._last_token = 0.0
        while await life.is_ready(hangs):
            now[0] += pause
        return now[0]

    assert asyncio.run(run()) <= 5.0


def test_an_engine_that_fails_is_not_ready(impatient: None) -> None:
    with running_gateway(lambda body, number: (500, {})) as gateway:
        gateway.lifecycle._last_token = None
        assert httpx.get(f"{gateway.url}/readyz").status_code == 503
        assert httpx.get(f"{gateway.url}/health").status_code == 503
        assert httpx.get(f"{gateway.url}/livez").status_code == 200


def test_an_engine_that_writes_for_others_is_ready_also_where_its_queue_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("instruct_mner.serving.openai_routes._LOOK_SECONDS", 0.0)
    counts = itertools.chain([5, 5, 5], itertools.repeat(6))
    with running_gateway(lambda body, number: (503, {})) as gateway:
        gateway.vllm.metrics = lambda: f"vllm:generation_tokens_total {next(counts)}\n"
        gateway.lifecycle._last_token = None
        assert httpx.get(f"{gateway.url}/readyz").status_code == 200
        assert len(gateway.vllm.bodies) == 1


def test_nobody_waits_for_an_engine_that_answers_nothing(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instruct_mner.serving.openai_routes._METRICS_SECONDS", 0.05)
    stopped = threading.Event()
    with running_gateway(lambda body, number: (200, {})) as gateway:
        gateway.vllm.hold = stopped
        gateway.lifecycle._last_token = None
        for path in ("/readyz", "/health"):
            assert httpx.get(f"{gateway.url}{path}", timeout=3).status_code == 503
        metrics = gateway.client.get("/metrics", timeout=3)
        assert "instruct_mner_requests_total" in metrics.text
        assert "vllm:up" not in metrics.text
        stopped.set()


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
