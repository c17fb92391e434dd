"""MessagePack: values of its specification, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from instruct_mner.data.importing.msgpack import unpack


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("c0", None),
        ("c3", True),
        ("7f", 127),
        ("e0", -32),
        ("cd0100", 256),
        ("d1ff00", -256),
        ("cfffffffffffffffff", 2**64 - 1),
        ("cb3ff8000000000000", 1.5),
        ("a3e282ac", "€"),
        ("d90161", "a"),
        ("c4020001", b"\0\1"),
        ("9301a16190", [1, "a", []]),
        ("82a16101a16202", {"a": 1, "b": 2}),
        ("de0001a161c0", {"a": None}),
        ("dc00010a", [10]),
    ],
)
def test_values(content: str, value: Any) -> None:
    assert unpack(bytes.fromhex(content)) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the content is cut"),
        ("ddffffffff", "the content is cut"),
        ("dbffffffff61", "the content is cut"),
        ("91" * 40 + "c0", "nested deeper"),
        ("c0c0", "1 bytes follow"),
        ("c1", "type 0xc1 is not read"),
        ("d40100", "type 0xd4 is not read"),
        ("819001", "a key is a list"),
    ],
)
def test_what_is_refused(content: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        unpack(bytes.fromhex(content))
