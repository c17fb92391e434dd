"""Places for requests, rates, and the pause of who is refused."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import LIMITS, running_gateway
from gateway_bodies import post_body

from instruct_mner.serving.keys import Keys
from instruct_mner.serving.limits import TooManyError
from instruct_mner.serving.places import Places, Rates


def test_the_pause_follows_the_queue() -> None:
    now = [0.0]
    places = Places(2, lambda: now[0])
    assert places.pause == 1
    for _ in range(100):
        with places.taken("a", 1):
            now[0] += 7.5
    assert places.pause == 8
    with places.taken("a", 1), places.taken("b", 1):
        now[0] += 20
        with pytest.raises(TooManyError) as caught, places.taken("a", 1):
            raise AssertionError
        # Longer than ever before: the engine is slower than it was.
        assert caught.value.seconds == 20
        now[0] += 1000
        assert places.pause == 60


def test_what_vllm_refuses_for_its_queue_is_told_to_come_again_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    full = {"error": {"message": "The engine is currently busy and cannot accept new requests.", "code": 503}}
    monkeypatch.setattr(Places, "pause", property(lambda places: 7))
    chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    with running_gateway(lambda body, number: (503, full)) as gateway:
        for path, body in (
            ("/v1/entities", post_body()),
            ("/v1/entities", {"posts": [{"text": "Ann"}], "labels": ["PER"]}),
            ("/v1/chat/completions", chat),
            ("/v1/chat/completions", {**chat, "stream": True}),
            ("/v1/completions", {"model": "m", "prompt": "hi"}),
        ):
            response = gateway.client.post(path, json=body)
            assert (response.status_code, response.headers["retry-after"]) == (503, "7")
            assert response.json()["error"]["message"] == "the queue of the model is full; try again"


def test_vllm_has_the_bounds_of_its_queue() -> None:
    """Look into its source: to import it takes long."""
    spec = find_spec("vllm")
    if spec is None or spec.origin is None:
        pytest.skip("vLLM is not installed (make setup brings it)")
    flags = (Path(spec.origin).parent / "engine/arg_utils.py").read_text()
    assert '"--max-num-queued-reqs"' in flags
    assert '"--max-num-queued-tokens"' in flags


def test_of_several_clients_none_has_more_than_half() -> None:
    places = Places(4)
    with ExitStack() as held:
        held.enter_context(places.taken("a", 2))
        held.enter_context(places.taken("a", 2))
        with pytest.raises(TooManyError, match="with this key"), places.taken("a", 2):
            raise AssertionError
        held.enter_context(places.taken("b", 2))
        held.enter_context(places.taken("b", 2))
        with pytest.raises(TooManyError, match="are under way"), places.taken("c", 3):
            raise AssertionError


def test_a_rate_holds_over_ten_seconds() -> None:
    now = [0.0]
    rates = Rates({"slow": 0.5}.get, lambda: now[0])
    for _ in range(5):
        rates.take("slow")
    with pytest.raises(TooManyError, match=r"more than 0\.5 requests a second") as caught:
        rates.take("slow")
    assert caught.value.seconds == 2
    for _ in range(1_000):
        rates.take("free")
    now[0] = 2.0
    rates.take("slow")
    rates.charge("slow", 9)
    rates.charge("free", 9)
    now[0] = 4.0
    with pytest.raises(TooManyError) as caught:
        rates.take("slow")
    assert caught.value.seconds == 18
    now[0] = 1000.0
    for _ in range(5):
        rates.take("slow")


def test_rates_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("fast key-a rate=100\nslow key-b\n")
    with running_gateway(keys=Keys.of_file(file), limits=replace(LIMITS, rate=0.1)) as gateway:

        def statuses(key: str, num: int) -> list[int]:
            headers = {"authorization": f"Bearer {key}"}
            return [gateway.client.get("/v1/models", headers=headers).status_code for _ in range(num)]

        assert statuses("key-a", 5) == [200] * 5
        assert statuses("key-b", 3) == [200, 429, 429]
        assert statuses("key-a", 5) == [200] * 5


def test_posts_count_for_the_rate() -> None:
    with running_gateway(limits=replace(LIMITS, rate=0.3)) as gateway:
        body = {"posts": [{"text": "Ann"}] * 4, "labels": ["PER"]}
        assert gateway.client.post("/v1/entities", json=body).status_code == 200
        refused = gateway.client.post("/v1/entities", json=post_body())
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 4
