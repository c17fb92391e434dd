"""A document on ``/v1/entities``: windows, and offsets of the whole text."""

from __future__ import annotations

import asyncio
import json

from fake_server import Body, chat, post_of, serving

from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.models.tuned import zero_shot
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.serving.entities_models import EntitiesRequest, EntitiesResponse
from instruct_mner.serving.entities_route import EntityService
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.metrics import Counters
from instruct_mner.serving.pictures import PictureReader
from instruct_mner.serving.worker_pool import WorkerPool
from instruct_mner.tagging.tagger import Tagger


def names_with_z(body: Body, number: int) -> tuple[int, Body]:
    """Answer with the words that begin with ``Z``."""
    names = [word for word in post_of(body).replace(".", " ").split() if word.startswith("Z")]
    items = [{"text": name, "label": "PER"} for name in names]
    return 200, chat(json.dumps(items, separators=(",", ":")))


def document(num_words: int, names: dict[int, str]) -> str:
    words = ["word" + "." * (number % 9 == 8) for number in range(num_words)]
    for place, name in names.items():
        words[place] = name
    return " ".join(words)


async def answer(url: str, text: str) -> EntitiesResponse:
    engine = EndpointEngine(Endpoint(url, "m", max_retries=0, scores=False, window=2000), key="private")
    manifest, _ = zero_shot("m")
    tagger = Tagger(engine, manifest, find_prompt("zero-shot"))
    async with engine.client() as client:
        pictures = PictureReader(WorkerPool(1, memory_bytes=2**31), Limits())
        service = EntityService({"m": (tagger, engine)}, client, Limits(), Counters(), pictures)
        return await service.answer(EntitiesRequest(text=text, labels=["PER"]))


def test_an_entity_behind_word_3000_is_found_at_its_global_offset() -> None:
    text = document(3500, {2: "Zoe", 3210: "Zebulon", 3499: "Zed"})
    with serving(names_with_z) as server:
        response = asyncio.run(answer(server.url, text))
    assert [(entity.text, entity.start) for entity in response.entities] == [
        (name, text.index(name)) for name in ("Zoe", "Zebulon", "Zed")
    ]
    assert response.windows == len(server.bodies) > 5
    assert response.rejected.total == 0
    assert all(len(json.dumps(body["messages"])) < 2000 for body in server.bodies)


def test_a_post_that_fits_is_one_window() -> None:
    with serving(names_with_z) as server:
        response = asyncio.run(answer(server.url, "Zoe is here."))
    assert (response.windows, len(server.bodies), len(response.entities)) == (1, 1, 1)
