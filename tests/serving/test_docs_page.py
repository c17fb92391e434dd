"""The page about the routes, which loads nothing."""

from __future__ import annotations

import re

import httpx
from conftest import Gateway

from instruct_mner.serving.docs_page import docs_page


def test_the_page_names_every_route_and_field_and_loads_nothing(gateway: Gateway) -> None:
    response = httpx.get(f"{gateway.url}/docs")
    assert response.status_code == 200
    assert "<script" not in response.text
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", response.text)
    assert "default-src 'none'" in response.headers["content-security-policy"]
    document = gateway.client.get("/openapi.json").json()
    for path in document["paths"]:
        assert f" {path}</code>" in response.text
    for name, schema in document["components"]["schemas"].items():
        assert f'id="{name}"' in response.text
        for field in schema.get("properties", {}):
            assert f"<code>{field}</code>" in response.text
    targets = set(re.findall(r'href="#([^"]+)"', response.text))
    assert targets <= set(re.findall(r'id="([^"]+)"', response.text))


def test_names_are_written_as_text() -> None:
    schema = {"description": "<b>", "properties": {"<i>": {"enum": ["<u>"]}, "n": {"type": "array", "maxItems": 3}}}
    page = docs_page({"info": {"title": "a", "version": "1"}, "paths": {}, "components": {"schemas": {"<x>": schema}}})
    assert not re.search(r"<(b|i|u|x)>", page)
    assert "list of anything</td><td>items to 3" in page
