"""A gateway on a real port, before a vLLM that answers by rule."""

from __future__ import annotations

import asyncio
import socket
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
from instruct_mner.serving.connections import ConnectionLimit
from instruct_mner.serving.entities_route import EntityService
from instruct_mner.serving.gateway import build_gateway
from instruct_mner.serving.keys import Client, Keys
from instruct_mner.serving.lifecycle import Lifecycle
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.metrics import Counters
from instruct_mner.serving.openai_routes import Upstream
from instruct_mner.serving.pictures import PictureReader
from instruct_mner.serving.worker_pool import WorkerPool
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.vllm_runtime.process import free_port

KEY = "open-sesame"
LIMITS = Limits(body_bytes=200_000, picture_pixels=10_000, text_characters=300, num_labels=5, num_choices=2)


@dataclass(frozen=True)
class Gateway:
    client: httpx.Client
    url: str
    vllm: FakeServer
    lifecycle: Lifecycle
    loop: asyncio.AbstractEventLoop


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
        keys = None if key is None else Keys({"client": Client(key=key)})
        settings = {"is_running": lambda: True, "limits": LIMITS, "keys": keys, **changes}
        limits = settings["limits"]
        assert isinstance(limits, Limits)
        decoders, compilers = (WorkerPool(1, memory_bytes=2**31) for _ in range(2))
        pictures = PictureReader(decoders, limits)
        upstream = Upstream(
            inner,
            ["m"],
            ["<image>", "<|im_end|>", "<end_of_utterance>"],
            ["<image>"],
            limits,
            1,
            pictures=pictures,
            compilers=compilers,
            remote_domains=["pictures.example"],
            without_seed=True,
        )
        service = EntityService({"m": (tagger, engine)}, engine.client(), limits, counters, pictures)

        loops: list[asyncio.AbstractEventLoop] = []

        async def close() -> None:
            await decoders.close()
            await compilers.close()

        connections = ConnectionLimit(limits.connections, limits.header_seconds, limits.header_bytes)
        lifecycle = Lifecycle()
        lifecycle.note_token()
        app = build_gateway(
            service,
            upstream,
            counters,
            lifecycle=lifecycle,
            probe=upstream.writes_a_token,
            on_known=connections.known,
            close=close,
            **settings,  # type: ignore[arg-type]
        )
        port = free_port()
        config = uvicorn.Config(
            app, port=port, log_level="error", http=connections.protocol(), ws="none", proxy_headers=False,
            h11_max_incomplete_event_size=limits.header_bytes,
        )  # fmt: skip

        class Looping(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                loops.append(asyncio.get_running_loop())
                await super().startup(sockets)

        server = Looping(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not (server.started and loops):
            time.sleep(0.01)
        url = f"http://127.0.0.1:{port}"
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        try:
            with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
                yield Gateway(client, url, vllm, lifecycle, loops[0])
        finally:
            server.should_exit = True
            thread.join()


def connected(gateway: Gateway, content: bytes = b"") -> socket.socket:
    port = int(gateway.url.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(content)
    return connection


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running_gateway() as running:
        yield running
