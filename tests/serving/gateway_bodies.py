"""Bodies for the gateway, and hostile pictures and constraints for them, small to send."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

from PIL import Image


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def png(width: int, height: int) -> bytes:
    """A grey PNG, however large, that is what it says."""
    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return _png(width, height, data)


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few bytes that says it is huge."""
    return _png(width, height, zlib.compress(b""))


def _png(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def many_scans(side: int = 64, scans: int = 200) -> bytes:
    """A progressive JPEG whose last scan is repeated: each repetition costs the work of a whole picture."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), 128).save(buffer, "JPEG", progressive=True, quality=50)
    data = buffer.getvalue()
    scan = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + scan * scans + b"\xff\xd9"


def rule_chain(length: int) -> str:
    """A grammar whose rules are a chain; long ones overflow the stack of llguidance."""
    return "\n".join(["start: r0", *(f"r{n}: r{n + 1}" for n in range(length)), f'r{length}: "z"'])


def reference_chain(length: int) -> dict[str, Any]:
    """A schema of references, each to the next."""
    links = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(length)}
    return {"$defs": links | {f"d{length}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def picture(size: tuple[int, int] = (40, 30), kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def pixels(url: str) -> bytes:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB").tobytes()


def post_body(text: str = "Ann is here", **more: object) -> dict[str, Any]:
    return {"text": text, "labels": ["PER", "LOC"], **more}


def chat_body(*parts: object, **more: object) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": list(parts)}], **more}


def image_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
