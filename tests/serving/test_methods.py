"""HEAD, OPTIONS and CORS."""

from __future__ import annotations

from http.client import HTTPConnection

import httpx
import pytest
from conftest import Gateway, running_gateway
from gateway_bodies import post_body

from instruct_mner.serving import methods
from instruct_mner.serving.gateway import Door

GETS = ["/health", "/livez", "/readyz", "/metrics", "/v1/models", "/v1/models/m", "/docs", "/openapi.json"]


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_a_body(gateway: Gateway, path: str) -> None:
    head, get = gateway.client.head(path), gateway.client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":
        assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/entities", "OPTIONS, POST"),
        ("/v1/models", "GET, HEAD, OPTIONS"),
        ("/v1/models/org/m", "GET, HEAD, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
        ("*", "GET, HEAD, OPTIONS, POST"),
    ],
)
def test_options_names_the_methods(gateway: Gateway, path: str, allowed: str) -> None:
    # Without a key: a browser asks so before it sends one.
    connection = HTTPConnection(gateway.url.removeprefix("http://"))
    connection.request("OPTIONS", path)
    response = connection.getresponse()
    assert (response.status, response.headers["allow"], response.read()) == (204, allowed, b"")
    connection.close()
    assert gateway.client.options("/nowhere").status_code == 404


def test_another_method_is_refused_with_those_that_there_are(gateway: Gateway) -> None:
    for method in ("GET", "HEAD", "PUT"):
        response = gateway.client.request(method, "/v1/entities")
        assert (response.status_code, response.headers["allow"]) == (405, "OPTIONS, POST")
    for path in ("/v1/models", "/v1/models/m"):
        assert gateway.client.delete(path).headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/v1/entities/", "/metrics/", "/docs/"])
def test_a_slash_at_the_end_leads_nowhere_else(gateway: Gateway, path: str) -> None:
    """Behind a proxy with TLS, the address of a redirection would have the wrong scheme."""
    response = gateway.client.request("POST" if "entities" in path else "GET", path, json=post_body())
    assert (response.status_code, "location" in response.headers) == (404, False)
    assert response.json()["error"]["message"] == f"there is no route {path!r}; see /docs"


def test_pages_of_allowed_origins_may_ask() -> None:
    with running_gateway(door=Door(origins=("https://pages.example",))) as gateway:
        asked = {"origin": "https://pages.example", "access-control-request-method": "POST"}
        preflight = httpx.options(
            f"{gateway.url}/v1/entities",
            headers={**asked, "access-control-request-headers": "authorization, content-type"},
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://pages.example"
        answer = gateway.client.post("/v1/entities", json=post_body(), headers={"origin": "https://pages.example"})
        assert answer.headers["access-control-allow-origin"] == "https://pages.example"
        assert "retry-after" in answer.headers["access-control-expose-headers"]
        refused = httpx.post(f"{gateway.url}/v1/entities", headers={"origin": "https://pages.example"})
        assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (401, True)
        other = gateway.client.post("/v1/entities", json=post_body(), headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_without_origins_no_page_may(gateway: Gateway) -> None:
    headers = {"origin": "https://pages.example", "access-control-request-method": "POST"}
    preflight = httpx.options(f"{gateway.url}/v1/entities", headers=headers)
    assert preflight.status_code == 204
    assert "access-control-allow-origin" not in preflight.headers
    assert methods.Methods is not None
