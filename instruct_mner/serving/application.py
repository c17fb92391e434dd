"""The gateway as ``serve`` puts it together and opens it; imports what only the extra ``serve`` brings."""

from __future__ import annotations

import httpx
from fastapi import FastAPI

from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.errors import ServingError
from instruct_mner.serving.connections import ConnectionLimit
from instruct_mner.serving.entities_route import EntityService
from instruct_mner.serving.gateway import Door, build_gateway
from instruct_mner.serving.keys import Keys
from instruct_mner.serving.lifecycle import Lifecycle
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.metrics import Counters
from instruct_mner.serving.openai_routes import Upstream
from instruct_mner.serving.pictures import PictureReader
from instruct_mner.serving.worker_pool import WorkerPool
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.vllm_runtime.command import seeds_are_fatal
from instruct_mner.vllm_runtime.plan import Plan
from instruct_mner.vllm_runtime.process import VllmProcess

Taggers = dict[str, tuple[Tagger, EndpointEngine]]


def context_window(url: str, private_key: str) -> int:
    """Return the number of tokens of prompt and answer that vLLM takes, by the model, its flags or the memory.

    Raises:
        ServingError: It does not say it.
    """
    try:
        answer = httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {private_key}"}, timeout=60)
        return int(answer.raise_for_status().json()["data"][0]["max_model_len"])
    except httpx.HTTPError as error:
        raise ServingError(f"vLLM does not say how long its context is: {error}") from None


def make_taggers(plan: Plan, url: str, private_key: str, window: int) -> Taggers:
    """Return a tagger on vLLM for each model, by name."""
    taggers = {}
    for model in plan.models:
        # vLLM is ours: what it cannot do now, it cannot do at another try.
        engine = EndpointEngine(Endpoint(url, model.name, max_retries=0, window=window), model.description, private_key)
        taggers[model.name] = (Tagger(engine, model.manifest, model.prompt), engine)
    return taggers


def make_gateway(
    plan: Plan,
    taggers: Taggers,
    pictureless: Taggers,
    vllm: VllmProcess,
    private_key: str,
    keys: Keys | None,
    connections: ConnectionLimit,
    lifecycle: Lifecycle,
    limits: Limits,
    remote_domains: tuple[str, ...],
    door: Door,
) -> FastAPI:
    """Return the application of the gateway before a vLLM that runs.

    Args:
        plan: Plan of what is served.
        taggers: Tagger and engine of each model.
        pictureless: Those of models that answer posts without a picture in another way.
        vllm: Process of vLLM.
        private_key: Key of vLLM.
        keys: Keys of clients; ``None`` = anybody may ask.
        connections: Register of connections.
        lifecycle: State of the server.
        limits: Limits of requests.
        remote_domains: Domains from which vLLM may fetch pictures.
        door: Settings of the door.
    """
    counters = Counters()
    processor = plan.whole.description.processor
    special_tokens = {token for model in plan.models for token in model.description.special_tokens}
    placeholders = [token for token in special_tokens if token in _placeholders(processor)]
    client = httpx.AsyncClient(
        base_url=vllm.url,
        headers={"authorization": f"Bearer {private_key}"},
        timeout=httpx.Timeout(600, connect=30),
        limits=httpx.Limits(max_connections=None),
    )
    names = [model.name for model in plan.models]
    # A picture is held several times while it is decoded, with up to four bytes a pixel.
    decoders = WorkerPool(2, memory_bytes=2**30 + 24 * limits.picture_pixels)
    compilers = WorkerPool(1, memory_bytes=2 * 2**30)
    pictures = PictureReader(decoders, limits)
    upstream = Upstream(
        client,
        names,
        sorted(special_tokens),
        placeholders,
        limits,
        plan.max_images,
        pictures=pictures,
        compilers=compilers,
        remote_domains=remote_domains,
        without_seed=seeds_are_fatal(),
        on_token=lifecycle.note_token,
    )
    engine = taggers[plan.whole.name][1]
    service = EntityService(taggers, engine.client(), limits, counters, pictures, lifecycle.note_token, pictureless)

    async def close() -> None:
        await decoders.close()
        await compilers.close()
        await client.aclose()

    return build_gateway(
        service,
        upstream,
        counters,
        keys=keys,
        limits=limits,
        is_running=lambda: vllm.is_running,
        lifecycle=lifecycle,
        door=door,
        on_known=connections.known,
        probe=upstream.writes_a_token,
        close=close,
    )


def _placeholders(processor: object) -> set[str]:
    """Return the tokens that stand for pictures and videos."""
    names = ("image_token", "video_token", "boi_token", "image_token_fake", "fake_image_token", "global_image_token")
    return {str(getattr(processor, name)) for name in names if hasattr(processor, name)}
