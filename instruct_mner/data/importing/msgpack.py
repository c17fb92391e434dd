"""MessagePack, read with bounds: only what ``DocBin`` writes, no extension types, no code.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import struct

Value = None | bool | int | float | str | bytes | list["Value"] | dict["Value", "Value"]

_MOST_DEPTH = 32
# First byte to the format of a number, and to the width of a length.
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i",
            0xD3: ">q"}  # fmt: skip
_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_LISTS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}
_CONSTANTS: dict[int, Value] = {0xC0: None, 0xC2: False, 0xC3: True}


def unpack(content: bytes) -> Value:
    """Read the only value of a content.

    Raises:
        ValueError: It is cut, nested too deeply, of a type that is not read, or followed by something.
    """
    reader = _Reader(content)
    value = reader.value(0)
    if reader.position != len(content):
        raise ValueError(f"{len(content) - reader.position} bytes follow the value")
    return value


class _Reader:
    """A position in a content."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0

    def value(self, depth: int) -> Value:  # noqa: PLR0911 (a return for each type)
        """Read the value at the position."""
        if depth > _MOST_DEPTH:
            raise ValueError(f"values are nested deeper than {_MOST_DEPTH}")
        first = self._take(1)[0]
        if first < 0x80 or first >= 0xE0:
            return first if first < 0x80 else first - 0x100
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first in _NUMBERS:
            form = _NUMBERS[first]
            number: int | float = struct.unpack(form, self._take(struct.calcsize(form)))[0]
            return number
        if first in _BYTES:
            return self._take(self._length(_BYTES[first]))
        if 0xA0 <= first < 0xC0 or first in _TEXTS:
            size = first - 0xA0 if first < 0xC0 else self._length(_TEXTS[first])
            return self._take(size).decode("utf-8", "surrogatepass")
        if 0x90 <= first < 0xA0 or first in _LISTS:
            size = first - 0x90 if first < 0xA0 else self._length(_LISTS[first])
            return [self.value(depth + 1) for _ in self._counted(size)]
        if 0x80 <= first < 0x90 or first in _MAPS:
            size = first - 0x80 if first < 0x90 else self._length(_MAPS[first])
            pairs = [(self.value(depth + 1), self.value(depth + 1)) for _ in self._counted(size)]
            if any(isinstance(key, list | dict) for key, _ in pairs):
                raise ValueError("a key is a list or a mapping")
            return dict(pairs)
        raise ValueError(f"type 0x{first:02x} is not read")

    def _take(self, size: int) -> bytes:
        piece = self._content[self.position : self.position + size]
        if len(piece) < size:
            raise ValueError("the content is cut")
        self.position += size
        return piece

    def _length(self, width: int) -> int:
        return int.from_bytes(self._take(width), "big")

    def _counted(self, size: int) -> range:
        """Return a range of that many values, each of which has at least a byte."""
        if size > len(self._content) - self.position:
            raise ValueError("the content is cut")
        return range(size)
