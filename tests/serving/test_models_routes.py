"""The models that are served, one by one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import httpx
from conftest import Gateway
from fastapi import FastAPI

from instruct_mner.serving.models_routes import add_models


def test_a_name_may_be_that_of_a_hub() -> None:
    app, service = FastAPI(), SimpleNamespace(labels_of=lambda name: {"PER": name})
    add_models(app, service, ("org/m",), errors={}, locked=[])  # type: ignore[arg-type]

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return await client.get("/v1/models/org/m")

    answer = asyncio.run(asked()).json()
    assert (answer["id"], answer["labels"]) == ("org/m", {"PER": "org/m"})


def test_a_model_is_described_by_its_name(gateway: Gateway) -> None:
    [listed] = gateway.client.get("/v1/models").json()["data"]
    assert gateway.client.get("/v1/models/m").json() == listed
    missing = gateway.client.get("/v1/models/org/other")
    assert (missing.status_code, missing.json()["error"]["message"]) == (
        404,
        "there is no model 'org/other'; there are m",
    )
    assert httpx.get(f"{gateway.url}/v1/models/m").status_code == 401
