"""The description of the gateway is right: schemathesis asks what it allows and what it forbids."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from conftest import KEY, Gateway
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

OPERATIONS = [
    ("POST", "/v1/entities"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/setup"),
    ("POST", "/predict"),
    ("POST", "/webhook"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{name}"),
    ("GET", "/health"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]


# A text that is longer than the schema allows may be refused as too large a body (413), before it is parsed.
CONFIG = {"checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}}}


@pytest.fixture(scope="module")
def description(gateway: Gateway) -> Any:
    config = schemathesis.Config.from_dict(CONFIG)
    return schemathesis.openapi.from_url(f"{gateway.url}/openapi.json", config=config)


def test_every_operation_is_tried(description: Any) -> None:
    described = [result.ok() for result in description.get_all_operations()]
    assert {(each.method.upper(), each.path) for each in described} == set(OPERATIONS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_gateway_answers_as_it_says(description: Any, method: str, path: str, mode: GenerationMode) -> None:
    if method == "GET" and mode is GenerationMode.NEGATIVE:
        return  # nothing can be wrong with them

    @given(case=description[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        # What a picture, a label or a model's name may be, no schema can say: what it allows may still be refused.
        case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=[positive_data_acceptance])

    ask()
