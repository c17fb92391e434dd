"""JSON of bodies: what is refused, and how the wrong field is named."""

from __future__ import annotations

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


def test_width_is_bounded_without_parsing() -> None:
    assert is_too_wide(b"[" + b"1," * 100 + b"1]", 100)
    assert not is_too_wide(b"[" + b"1," * 50 + b"1]", 100)
