"""JSON of bodies: what is refused, and how the wrong field is named."""

from __future__ import annotations

import json

import pytest
from fastapi import HTTPException

from instruct_mner.serving.json_body import describe_problems, field_path, is_too_wide, read_json


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"a": NaN}', 400),
        (b'{"a": 1e', 400),
        (b'"\xff"', 400),
        (b"[" * 50_000, 400),
        (b'"\\ud800"', 422),
        (b'{"\\udc00": 1}', 422),
        (b'"\\ud800 and more"', 422),
        (b'"\\ud800\\ud800"', 422),
        (b'{"a": 1, "a": 1}', 422),
        (b'[{"a": {"b": 1e999, "\\u0062": "c"}}]', 422),
    ],
)
def test_what_is_not_read(body: bytes, status: int) -> None:
    with pytest.raises(HTTPException) as refusal:
        read_json(body)
    assert refusal.value.status_code == status


def test_a_byte_order_mark_is_passed_over_and_another_encoding_is_named() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    for body in ('{"a": "é"}'.encode("latin-1"), '{"a": 1}'.encode("utf-16")):
        with pytest.raises(HTTPException, match="the body is not JSON in UTF-8: 'utf-8' codec"):
            read_json(body)


def test_pairs_of_surrogates_are_read() -> None:
    assert read_json(b'"\\ud83d\\ude00"') == "😀"


def test_a_path_leaves_out_the_alternatives_of_unions() -> None:
    body = {"messages": [{"content": [{"type": "text", "text": "a", "uuid": "u"}]}]}
    assert field_path(("messages", 0, "content", "list", 0, "text", "uuid"), body) == "messages.0.content.0.uuid"
    assert field_path(("messages", 0, "content", "list", 0, "text", "text"), body) == "messages.0.content.0.text"
    assert field_path(("messages", 0, "content", "list", 1), body) == "messages.0.content"
    assert field_path(("messages", 0, "role"), body) == "messages.0.role"
    assert field_path((), body) == "body"


def test_only_the_first_problems_are_named() -> None:
    problems = [{"loc": ("body", f"f{number}"), "type": "extra_forbidden", "msg": ""} for number in range(9)]
    message = describe_problems(problems, {f"f{number}": 1 for number in range(9)})
    assert message.startswith("f0: this server does not take such a field")
    assert message.endswith("; and 4 more")


def test_a_key_that_is_given_twice_is_named() -> None:
    with pytest.raises(HTTPException, match=r"key 'text' is given twice in one object") as refusal:
        read_json(b'{"text": "Ada", "text": "Bob"}')
    assert refusal.value.status_code == 422
    many = ", ".join(f'"{number}": 0' for number in (*range(50_000), 49_999))
    with pytest.raises(HTTPException, match=r"key '49999' is given twice"):
        read_json(f"{{{many}}}".encode())


def test_width_is_bounded_without_parsing() -> None:
    assert is_too_wide(b"[" + b"1," * 100 + b"1]", 100)
    assert not is_too_wide(b"[" + b"1," * 50 + b"1]", 100)


@pytest.mark.parametrize("text", [", " * 900, "[{" * 900, '",",' * 900, "\\", '\\"' * 900, '\\\\",' * 900])
def test_what_stands_in_texts_does_not_count_as_values(text: str) -> None:
    body = json.dumps({"posts": [{"text": text, "images": []}] * 3}).encode()
    values = 1 + 1 + 2 + 3 * 3  # object, list, commas between posts; each an object with two fields, one of them a list
    assert not is_too_wide(body, values)
    assert is_too_wide(body + b",", values)
    assert is_too_wide(b'"' * 500 + b"," * 101, 100)
