"""Refusals of servers: which settings can be left out, and what is to be done about the others."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openai import APIStatusError

from instruct_mner.engines.refusals import refusal, unsupported_setting


def error(status: int, body: Any) -> APIStatusError:
    response: Any = httpx.Response(status, request=httpx.Request("POST", "http://host/v1"))
    return APIStatusError("said", response=response, body=body)


@pytest.mark.parametrize(
    ("body", "setting"),
    [
        ({"param": "max_tokens", "code": "unsupported_parameter"}, "max_tokens"),
        ({"param": "temperature", "code": "unsupported_value"}, "temperature"),
        ({"param": "seed", "code": "unsupported_parameter"}, None),
        ({"param": "messages", "code": "unsupported_value"}, None),
        ({"param": "temperature", "code": "decimal_above_max_value"}, None),
        ({"param": None, "code": None}, None),
        ("no JSON", None),
        (None, None),
    ],
)
def test_settings_that_can_be_left_out(body: Any, setting: str | None) -> None:
    assert unsupported_setting(error(400, body), {"max_tokens": 9, "temperature": 0.0, "messages": []}) == setting


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, {"message": "no key"}, "HTTP 401: no key; set OPENAI_API_KEY"),
        (403, {"message": "You are not allowed to request logprobs"}, "with --no-scores"),
        (400, None, "HTTP 400: said; if it is the constraint"),
    ],
)
def test_what_is_told(status: int, body: Any, told: str) -> None:
    said = refusal(error(status, body), "http://host/v1", "m")
    assert str(said).startswith("http://host/v1 refuses model 'm': ")
    assert told in str(said)
    assert said.status == status
