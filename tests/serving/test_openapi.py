"""The description of the gateway is right: schemathesis asks what it allows and what it forbids."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from conftest import KEY, Gateway
from hypothesis import HealthCheck, settings

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def description(gateway: Gateway) -> Any:
    return schemathesis.openapi.from_url(f"{gateway.url}/openapi.json")


schema = schemathesis.pytest.from_fixture("description")


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_gateway_answers_as_it_says(case: Any) -> None:
    # What a picture, a label and a model's name may be, no schema can say: what it allows may still be refused.
    excluded = [schemathesis.checks.load_all_checks and schemathesis.specs.openapi.checks.positive_data_acceptance]
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=excluded)
