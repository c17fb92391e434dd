"""``/docs``: a page about the routes, written from the OpenAPI document. It loads nothing and runs no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1.5rem; }
th, td { border-bottom: 1px solid #ddd; padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
h2 { margin-top: 2rem; } h3 { margin-bottom: 0.2rem; }
"""
_PREFIX = "#/components/schemas/"


def docs_page(document: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document.

    Args:
        document: OpenAPI document, version 3.1.
    """
    title = f"{document['info']['title']} {document['info']['version']}"
    routes = "".join(
        _operation(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    schemas = "".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>{escape(title)}'
        '</h1><p>The same for programs: <a href="openapi.json"><code>openapi.json</code></a>.</p>'
        f"<h2>Routes</h2>{routes}<h2>Bodies</h2>{schemas}</body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = f"<p>Body: {_type(content['schema'])}</p>" if "schema" in content else ""
    key = "<p>Needs the header <code>Authorization: Bearer KEY</code>.</p>" if operation.get("security") else ""
    rows = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{_answer(response)}</td>"
        f"<td>{escape(response.get('description', ''))}</td></tr>"
        for status, response in operation["responses"].items()
    )
    about = escape(operation.get("description", ""))
    return (
        f"<h3><code>{escape(method.upper())} {escape(path)}</code></h3><p>{about}</p>"
        f"{body}{key}<table><tr><th>Status</th><th>Answer</th><th></th></tr>{rows}</table>"
    )


def _answer(response: Mapping[str, Any]) -> str:
    return ", ".join(_type(each.get("schema", {})) for each in response.get("content", {}).values())


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    needed = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{' *' if field in needed else ''}</td><td>{_type(value)}</td>"
        f"<td>{escape(', '.join(_bounds(value)))}</td></tr>"
        for field, value in schema.get("properties", {}).items()
    )
    # The part before the list of fields, which the table is.
    about = schema.get("description", "").partition("\n\nAttributes:")[0]
    fields = f"<table><tr><th>Field (* needed)</th><th>Type</th><th></th></tr>{rows}</table>" if rows else ""
    return f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(about)}</p>{fields}'


def _type(schema: Mapping[str, Any]) -> str:
    """Return a type in HTML, with links to the bodies that it names."""
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).removeprefix(_PREFIX))
        return f'<a href="#{name}">{name}</a>'
    for kind in ("anyOf", "oneOf"):
        if kind in schema:
            return " or ".join(_type(each) for each in schema[kind])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"<code>{escape(str(each))}</code>" for each in values)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("type", "anything")))


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    words = {
        "minimum": "from", "maximum": "to", "exclusiveMinimum": "above", "exclusiveMaximum": "below",
        "minLength": "characters from", "maxLength": "characters to", "minItems": "items from", "maxItems": "items to",
        "default": "default",
    }  # fmt: skip
    for each in (schema, *schema.get("anyOf", ())):
        yield from (f"{word} {each[name]}" for name, word in words.items() if name in each)
