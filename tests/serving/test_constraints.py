"""Bounds of constraints, and that this package's own grammars are within them."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_bodies import reference_chain
from pydantic import ValidationError

from instruct_mner.answers.codec import grammar, json_schema
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.schema.labels import LabelSet
from instruct_mner.serving.constraints import NamedSchema, SchemaFormat, StructuredOutputs, constraint_of


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give one of"),
        ({"regex": "a", "choice": ["a"]}, "give one of"),
        ({"grammar": "a: b\n" * 5_000}, "5000 rules"),
        ({"grammar": "#" * 600_000}, "600000 bytes"),
        ({"regex": "a" * 9_000}, "9000 bytes"),
        ({"choice": ["c"] * 1_001}, "at most 1000"),
        ({"choice": ["c" * 70_000]}, "70000 bytes"),
        ({"choice": []}, "at least 1"),
        ({"json": reference_chain(65)}, "leads to 66 places"),
        ({"json": {"properties": {f"p{number}": {} for number in range(257)}}}, "257 properties"),
        ({"json": nested(33)}, "32 levels"),
        ({"json": {"$ref": "https://example.com/a"}}, "out of the schema"),
        ({"json": {"description": "x" * 70_000}}, "bytes"),
        ({"json": "{}"}, "dictionary"),
        ({"structural_tag": "{}"}, "not permitted"),
        ({"json_object": False}, "True"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StructuredOutputs.model_validate(fields)


def test_a_deep_schema_costs_no_recursion() -> None:
    with pytest.raises(ValidationError, match="levels"):
        NamedSchema.model_validate({"name": "x", "schema": nested(100_000)})


@pytest.mark.parametrize("format_", ["lines", "json", "inline"])
def test_own_constraints_are_within_the_bounds(format_: Any) -> None:
    labels = LabelSet.of([f"label {number}" for number in range(200)])
    spec = AnswerSpec(labels=labels, format=format_)
    for text in (" ".join(f"w{number}" for number in range(740)), "日本 \U0001f600 " * 4_000):
        rules = grammar(spec, text, 0)
        assert StructuredOutputs.model_validate({"grammar": rules}).constraint() == {"grammar": rules}
    if format_ == "json":
        schema = json_schema(spec, 0)
        assert StructuredOutputs.model_validate({"json": schema}).constraint() == {"json": schema}


def test_a_request_has_one_constraint() -> None:
    outputs = StructuredOutputs.model_validate({"choice": ["a"]})
    named = SchemaFormat.model_validate(
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    )
    assert constraint_of(None, None) == {}
    assert constraint_of(outputs, None) == {"choice": ["a"]}
    assert constraint_of(None, named) == {"json": {"type": "object"}}
    with pytest.raises(ValueError, match="one of"):
        constraint_of(outputs, named)
