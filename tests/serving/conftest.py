"""A gateway on a real port, before a vLLM that answers by rule."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from fake_server import FakeServer, Reply, chat, first_word_is_a_person, serving

from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.models.tuned import zero_shot
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.serving.entities_route import EntityService
from instruct_mner.serving.gateway import build_gateway
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.metrics import Counters
from instruct_mner.serving.openai_routes import Upstream
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.vllm_runtime.process import free_port

KEY = "open-sesame"
LIMITS = Limits(body_bytes=200_000, picture_pixels=10_000, text_characters=300, num_labels=5, num_choices=2)


@dataclass(frozen=True)
class Gateway:
    client: httpx.Client
    url: str
    vllm: FakeServer


def answer(body: dict, number: int) -> tuple[int, object]:
    """Posts as they are, whatever else with a word."""
    parts = body.get("messages", [{}])[0].get("content")
    is_post = isinstance(parts, list) and "Post: " in str(parts[-1].get("text", "")) and parts[-1]["text"][6:].strip()
    return first_word_is_a_person(body, number) if is_post else (200, chat("[]", logprobs=[]))


@contextmanager
def running_gateway(reply: Reply = answer, key: str | None = KEY, **changes: object) -> Iterator[Gateway]:
    with serving(reply) as vllm:
        engine = EndpointEngine(Endpoint(vllm.url, "m", max_retries=0, scores=False), key="private")
        manifest, _ = zero_shot("m")
        tagger = Tagger(engine, manifest, find_prompt("zero-shot"))
        counters = Counters()
        inner = httpx.AsyncClient(base_url=vllm.url, timeout=5)
        upstream = Upstream(
            inner, ["m"], ["<image>", "<|im_end|>"], ["<image>"], LIMITS, 1, ["pictures.example"], without_seed=True
        )
        service = EntityService({"m": (tagger, engine)}, engine.client(), LIMITS, counters)
        settings = {"is_running": lambda: True, "limits": LIMITS, **changes}
        app = build_gateway(service, upstream, counters, key=key, **settings)  # type: ignore[arg-type]
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        url = f"http://127.0.0.1:{port}"
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        try:
            with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
                yield Gateway(client, url, vllm)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running_gateway() as running:
        yield running
