"""The gateway as ``serve`` builds it, before a stand-in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from openai import AsyncOpenAI

from eval.gates.gateway.stand_in import MODEL
from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.engines.openai_format import SPECIAL_TOKENS
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

KEY, PRIVATE_KEY = "open-sesame", "private"


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """Gateway with its parts.

    Attributes:
        app: Application.
        lifecycle: State of the server.
        connections: Register of connections.
        limits: Limits of requests.
    """

    app: FastAPI
    lifecycle: Lifecycle
    connections: ConnectionLimit
    limits: Limits


def assemble(
    url: str, limits: Limits, *, transport: httpx.AsyncBaseTransport | None = None, is_running: Any = lambda: True
) -> Assembly:
    """Return the gateway before an engine.

    Args:
        url: Address of the engine.
        limits: Limits of requests.
        transport: Way to an engine in this process.
        is_running: Function that tells whether the engine is there.
    """
    headers = {"authorization": f"Bearer {PRIVATE_KEY}"}
    client = httpx.AsyncClient(
        base_url=url, headers=headers, transport=transport, timeout=httpx.Timeout(600, connect=30),
        limits=httpx.Limits(max_connections=None),
    )  # fmt: skip
    decoders = WorkerPool(2, memory_bytes=2**30 + 24 * limits.picture_pixels)
    compilers = WorkerPool(1, memory_bytes=2 * 2**30)
    pictures, lifecycle, counters = PictureReader(decoders, limits), Lifecycle(), Counters()
    upstream = Upstream(
        client, [MODEL], sorted(SPECIAL_TOKENS), ["<image>"], limits, 2, pictures=pictures, compilers=compilers,
        remote_domains=["pictures.example"], without_seed=True, on_token=lifecycle.note_token,
    )  # fmt: skip
    engine = EndpointEngine(Endpoint(url, MODEL, max_retries=0, window=2048), key=PRIVATE_KEY)
    manifest, _ = zero_shot(MODEL)
    tagger = Tagger(engine, manifest, find_prompt("zero-shot"))
    asking = (
        engine.client()
        if transport is None
        else AsyncOpenAI(
            base_url=f"{url}/v1",
            api_key=PRIVATE_KEY,
            max_retries=0,
            http_client=httpx.AsyncClient(transport=transport, timeout=600),  # type: ignore[arg-type]
        )
    )
    service = EntityService({MODEL: (tagger, engine)}, asking, limits, counters, pictures, lifecycle.note_token)
    connections = ConnectionLimit(limits.connections, limits.header_seconds, limits.header_bytes)

    async def close() -> None:
        for each in (decoders, compilers):
            await each.close()
        await client.aclose()

    app = build_gateway(
        service, upstream, counters, keys=Keys({"client": Client(key=KEY)}), limits=limits, is_running=is_running,
        lifecycle=lifecycle, on_known=connections.known, probe=upstream.writes_a_token, close=close,
    )  # fmt: skip
    return Assembly(app=app, lifecycle=lifecycle, connections=connections, limits=limits)
