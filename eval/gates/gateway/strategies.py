"""Hypothesis strategies of requests, made from the description that the gateway gives of itself (OpenAPI).

A route or a field that is added to the gateway is drawn without a change here; a part of a schema that is not known
here is an error.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from eval.gates.gateway.hostile import FOREIGN, VALUES, HostileRequest, anything

Schema = Mapping[str, Any]
_BATCH = 1_000
_MOST_OPTIONAL = 3
_HOSTILE = st.sampled_from(VALUES)
_TEXTS = (
    *(value for value in VALUES if isinstance(value, str)),
    *("Ann is here", "Bob met Acme in Lagos", "hi", "PER", "LOC", 'start: "a"', "a+", "(", "a" * 64, "\u4e2d\u6587"),
)
_DICTS = tuple(value for value in VALUES if isinstance(value, dict))
# Parts of a schema that only say more about what is drawn, or about its meaning.
_WORDS = {"title", "description", "default", "examples", "discriminator", "additionalProperties", "propertyNames"}
_BOUNDS = {
    *("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_KNOWN = _WORDS | _BOUNDS | {"type", "properties", "required", "items", "anyOf", "oneOf", "const", "enum", "$ref"}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """Method of a path, with the schema of its body; ``None`` where it takes none."""

    method: str
    path: str
    body: Schema | None


def operations(description: Schema) -> list[Operation]:
    """Return all operations of a description."""
    return [
        Operation(method=method.upper(), path=path, body=_body(operation))
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


def _body(operation: Schema) -> Schema | None:
    content = operation.get("requestBody", {}).get("content", {})
    return content["application/json"]["schema"] if content else None


def fields(description: Schema, schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the paths of all fields within a body, such as ``messages[].content[].text``."""
    schema = _resolved(description, schema)
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from fields(description, each, path)
    if "items" in schema:
        yield from fields(description, schema["items"], f"{path}[]")
    for name, value in schema.get("properties", {}).items():
        inner = f"{path}.{name}".removeprefix(".")
        yield inner
        yield from fields(description, value, inner)


def sent_fields(body: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of all fields that a body has."""
    if isinstance(body, dict):
        for name, value in body.items():
            inner = f"{path}.{name}".removeprefix(".")
            yield inner
            yield from sent_fields(value, inner)
    elif isinstance(body, list):
        for value in body:
            yield from sent_fields(value, f"{path}[]")


def bodies(description: Schema, schema: Schema, wanted: str = "") -> st.SearchStrategy[Any]:
    """Return a strategy of values of a schema, of which some hold what it forbids.

    Args:
        description: Description of the gateway.
        schema: Schema of the values.
        wanted: Path of a field that all of them have, as :func:`fields` writes it.

    Raises:
        ValueError: The schema has parts that are not known here.
    """
    values = _values(description, schema, wanted)
    return values if wanted else _mostly(values)


def requests_with_each_field(description: Schema) -> dict[str, st.SearchStrategy[HostileRequest]]:
    """Return a strategy of requests that have it, for each field of each operation."""
    return {
        f"{operation.path}: {field}": st.builds(
            _request, st.just(operation), bodies(description, operation.body, field)
        )
        for operation in operations(description)
        if operation.body is not None
        for field in sorted(set(fields(description, operation.body)))
    }


def requests(description: Schema) -> st.SearchStrategy[HostileRequest]:
    """Return a strategy of requests to every operation, and of anything that :mod:`hostile` makes of a seed."""
    every = []
    for operation in operations(description):
        body = st.just(None) if operation.body is None else bodies(description, operation.body)
        every.append(st.builds(_request, st.just(operation), body))
    made = st.builds(_anything, st.integers(0, 2**63))
    with_body = [each for each, operation in zip(every, operations(description), strict=True) if operation.body]
    # Those without a body have little to vary.
    return st.one_of(*with_body, *with_body, *with_body, st.one_of(every), made, made, made)


def draw(
    strategy: st.SearchStrategy[HostileRequest], num: int, first_seed: int, use: Callable[[HostileRequest], None]
) -> None:
    """Draw so many requests; in batches, because Hypothesis remembers all that it has drawn for one test."""
    for batch, begin in enumerate(range(0, num, _BATCH)):
        _draw_batch(strategy, min(_BATCH, num - begin), first_seed + batch, use)


def _draw_batch(
    strategy: st.SearchStrategy[HostileRequest], num: int, number: int, use: Callable[[HostileRequest], None]
) -> None:
    left = num

    @seed(number)
    @settings(
        max_examples=num,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def test(request: HostileRequest) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            use(request)

    test()


def _request(operation: Operation, body: Any) -> HostileRequest:
    content = b"" if operation.body is None else json.dumps(body).encode()
    return HostileRequest(method=operation.method, path=operation.path, content=content)


def _anything(number: int) -> HostileRequest:
    return next(anything(random.Random(number)))  # noqa: S311 (no secret)


def _resolved(description: Schema, schema: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    resolved: Schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return resolved


@st.composite
def _mostly(draw: st.DrawFn, valid: st.SearchStrategy[Any]) -> Any:
    return draw(_HOSTILE if draw(st.integers(0, 24)) == 0 else valid)


def _values(description: Schema, schema: Schema, wanted: str) -> st.SearchStrategy[Any]:
    schema = _resolved(description, schema)
    unknown = sorted(set(schema) - _KNOWN)
    if unknown:
        raise ValueError(f"nothing is drawn for {unknown} of the schema {schema.get('title', '')!r}")
    kinds = schema.get("anyOf") or schema.get("oneOf")
    if kinds:
        having = [each for each in kinds if not wanted or wanted in set(fields(description, each))]
        return st.one_of([bodies(description, each, wanted) for each in having])
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if choices:
        return st.sampled_from(choices)
    return _OF_TYPE[schema.get("type")](description, schema, wanted)


def _arrays(description: Schema, schema: Schema, wanted: str) -> st.SearchStrategy[list[Any]]:
    least = max(schema.get("minItems", 0), bool(wanted))
    items = bodies(description, schema.get("items", {}), wanted.removeprefix("[]").removeprefix("."))
    return st.lists(items, min_size=least, max_size=max(3, least))


def _objects(description: Schema, schema: Schema, wanted: str) -> st.SearchStrategy[dict[str, Any]]:
    head = re.split(r"[.\[]", wanted, maxsplit=1)[0]
    rest = wanted.removeprefix(head).removeprefix(".")
    properties = {
        name: bodies(description, each, rest if name == head else "")
        for name, each in schema.get("properties", {}).items()
    }
    if properties:
        required = set(schema.get("required", ())) | ({head} if head else set())
        return _records(properties, sorted(required), is_whole=bool(wanted))
    further = schema.get("additionalProperties")
    if isinstance(further, Mapping):
        return st.dictionaries(st.sampled_from(_TEXTS), bodies(description, further), max_size=3)
    return st.sampled_from(_DICTS)


@st.composite
def _records(
    draw: st.DrawFn, properties: Mapping[str, st.SearchStrategy[Any]], required: list[str], *, is_whole: bool
) -> dict[str, Any]:
    """Draw an object with its required fields and some of the others; now and then one too many, or one too few."""
    optional = sorted(set(properties) - set(required))
    chosen = st.lists(st.sampled_from(optional), max_size=_MOST_OPTIONAL, unique=True) if optional else st.just([])
    body = {name: draw(properties[name]) for name in [*required, *draw(chosen)]}
    change = draw(st.integers(0, 19))
    if change == 0:
        body[draw(st.sampled_from(FOREIGN))] = draw(_HOSTILE)
    elif change == 1 and body and not is_whole:
        del body[draw(st.sampled_from(sorted(body)))]
    return body


_OF_TYPE: Mapping[str | None, Callable[[Schema, Schema, str], st.SearchStrategy[Any]]] = {
    "object": _objects,
    "array": _arrays,
    "string": lambda _, schema, wanted: st.one_of(st.sampled_from(_TEXTS), st.text(max_size=20)),
    "boolean": lambda _, schema, wanted: st.booleans(),
    "null": lambda _, schema, wanted: st.none(),
    "integer": lambda _, schema, wanted: st.integers(schema.get("minimum", -2), min(schema.get("maximum", 40), 2**40)),
    "number": lambda _, schema, wanted: st.floats(
        schema.get("minimum", -2), schema.get("maximum", 40), allow_nan=False
    ),
    None: lambda _, schema, wanted: _HOSTILE,
}
