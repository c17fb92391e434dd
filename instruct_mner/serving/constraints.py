"""Constraints on answers that a request may hold: grammars, regular expressions, choices and JSON schemas, with bounds.

What passes these bounds is compiled in a process that may die (``worker.py``) before vLLM gets it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, model_validator

from instruct_mner.serving.http_models import Closed

# The grammars of this package's own client are smaller: one of 20,000 characters of text has 300 kB, an inline one
# 4,500 rules. A chain of some 5,000 rules overflows the stack of llguidance 1.7.6 in vLLM.
GRAMMAR_BYTES, GRAMMAR_RULES = 512 * 1024, 4_600
REGEX_BYTES = 8 * 1024
NUM_CHOICES, CHOICES_BYTES = 1_000, 64 * 1024
SCHEMA_BYTES, SCHEMA_DEPTH, SCHEMA_PROPERTIES, SCHEMA_TARGETS = 64 * 1024, 32, 256, 64


def _grammar(grammar: str) -> str:
    _check_bytes(grammar, GRAMMAR_BYTES)
    # A rule needs a line of its own, so there are no more rules than lines.
    rules = sum(":" in line for line in grammar.splitlines())
    if rules > GRAMMAR_RULES:
        raise ValueError(f"{rules} rules, more than the {GRAMMAR_RULES} allowed")
    return grammar


def _regex(regex: str) -> str:
    _check_bytes(regex, REGEX_BYTES)
    return regex


def _choices(choices: list[str]) -> list[str]:
    _check_bytes("".join(choices), CHOICES_BYTES)
    return choices


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    properties, targets = 0, set()
    for value, depth in _values(schema):
        if depth > SCHEMA_DEPTH:
            raise ValueError(f"nested deeper than the {SCHEMA_DEPTH} levels allowed")
        if not isinstance(value, dict):
            continue
        if isinstance(value.get("properties"), dict):
            properties += len(value["properties"])
        target = value.get("$ref")
        if isinstance(target, str):
            if not target.startswith("#"):
                raise ValueError(f"'$ref' {target!r:.80} leads out of the schema")
            targets.add(target)
    if properties > SCHEMA_PROPERTIES:
        raise ValueError(f"{properties} properties, more than the {SCHEMA_PROPERTIES} allowed")
    # A chain of references is no longer than there are places that they lead to.
    if len(targets) > SCHEMA_TARGETS:
        raise ValueError(f"'$ref' leads to {len(targets)} places, more than the {SCHEMA_TARGETS} allowed")
    _check_bytes(json.dumps(schema, ensure_ascii=False), SCHEMA_BYTES)
    return schema


def _values(schema: Any) -> Iterator[tuple[Any, int]]:
    """Yield all values within a schema with their depths, without recursion."""
    waiting = [(schema, 0)]
    while waiting:
        value, depth = waiting.pop()
        yield value, depth
        further = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(each, depth + 1) for each in further]


def _check_bytes(text: str, most: int) -> None:
    size = len(text.encode())
    if size > most:
        raise ValueError(f"{size} bytes, more than the {most} allowed")


Schema = Annotated[dict[str, Any], AfterValidator(_schema)]
Choices = Annotated[list[str], Field(min_length=1, max_length=NUM_CHOICES), AfterValidator(_choices)]


class StructuredOutputs(Closed):
    """vLLM's constraint on an answer: one of grammar, regex, choice, json and json_object."""

    grammar: Annotated[str, Field(min_length=1), AfterValidator(_grammar)] | None = None
    regex: Annotated[str, Field(min_length=1), AfterValidator(_regex)] | None = None
    choice: Choices | None = None
    json_schema: Annotated[Schema | None, Field(alias="json")] = None
    json_object: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> StructuredOutputs:
        if len(self.constraint()) != 1:
            raise ValueError("give one of grammar, regex, choice, json and json_object")
        return self

    def constraint(self) -> dict[str, Any]:
        """Return the kind of the constraint with its value."""
        return self.model_dump(by_alias=True, exclude_none=True)


class NamedSchema(Closed):
    """A JSON schema with the name that OpenAI wants."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: Annotated[str, Field(max_length=1_000)] | None = None
    json_schema: Annotated[Schema, Field(alias="schema")]
    strict: StrictBool | None = None


class PlainFormat(Closed):
    """An answer without a schema."""

    type: Literal["text", "json_object"]


class SchemaFormat(Closed):
    """An answer that is JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")]


def constraint_of(
    structured_outputs: StructuredOutputs | None, response_format: PlainFormat | SchemaFormat | None
) -> dict[str, Any]:
    """Return the constraint of a request, kind and value; empty without one.

    Raises:
        ValueError: There are two.
    """
    by_format: dict[str, Any] = {}
    if isinstance(response_format, SchemaFormat):
        by_format = {"json": response_format.json_schema.json_schema}
    elif response_format is not None and response_format.type == "json_object":
        by_format = {"json_object": True}
    by_vllm = {} if structured_outputs is None else structured_outputs.constraint()
    if by_format and by_vllm:
        raise ValueError("give one of structured_outputs and response_format")
    return by_format or by_vllm
