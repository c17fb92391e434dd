"""Pictures, and boxes that lie outside of them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from bad_input import Kind, boxed, config, post


def _encoded(form: str, size: tuple[int, int] = (640, 480)) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(file, form)
    return file.getvalue()


def _claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, with next to nothing behind it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


PNG, JPEG = _encoded("PNG"), _encoded("JPEG")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>'
WITH_PICTURE = post(images=["a.png"])


def _picture(name: str, content: bytes, remedy: str) -> Kind:
    files = {"posts.jsonl": WITH_PICTURE, "a.png": content}
    return Kind(name, "validate posts.jsonl", files, r"posts\.jsonl: post '1': a\.png: ", remedy)


def _large(folder: Path) -> None:
    with (folder / "a.png").open("r+b") as file:
        file.truncate(64 * 2**20 + 1)


def _folder(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).mkdir()


KINDS = (
    _picture("picture-truncated", JPEG[: len(JPEG) // 2], "the picture is broken .*; save it again as JPEG or PNG"),
    _picture("picture-png-truncated", PNG[: len(PNG) // 2], "the picture is broken .*; save it again as JPEG or PNG"),
    _picture("picture-of-text", b"<html>404</html>", "not a picture that can be used .*; save it again"),
    _picture("picture-svg", SVG, "not a picture that can be used .*PNG.*; save it again"),
    _picture("picture-empty", b"", "not a picture that can be used .*; save it again"),
    _picture("picture-bomb", _claiming(100_000, 100_000), "far too many pixels.*; save it again|make it smaller"),
    _picture("picture-too-many-pixels", _claiming(9_000, 9_000), "9000 x 9000 pixels, more than .*; make it smaller"),
    Kind("picture-too-many-bytes", "validate posts.jsonl", {"posts.jsonl": WITH_PICTURE, "a.png": PNG},
         r"a\.png: 67108865 bytes", "more than the 67108864 allowed; make it smaller", change=_large),
    Kind("picture-missing", "convert posts.jsonl out.jsonl", {"posts.jsonl": WITH_PICTURE},
         r"posts\.jsonl: 1 of 1 pictures are missing \(a\.png\)", r"--images DIR .*--missing-image text"),
    Kind("picture-is-a-folder", "validate posts.jsonl", {"posts.jsonl": WITH_PICTURE},
         r"posts\.jsonl: 1 of 1 pictures are missing \(a\.png\)", "--images DIR", change=_folder("a.png")),
    Kind("picture-address", "validate posts.jsonl", {"posts.jsonl": post(images=["https://example.org/a.png"])},
         r"pictures are missing \(https://example\.org/a\.png\): not in", "--images DIR"),
    Kind("box-outside-its-picture", "validate posts.jsonl", {"posts.jsonl": boxed(1, 2, 999, 20), "a.png": PNG},
         r"posts\.jsonl: post '1': box \[1, 2, 999, 20\] of 'Ann'",
         r"outside of a\.png, 640 x 480 pixels when upright"),
    Kind("picture-of-one-post-missing", "tag --text Ann --image nowhere.png --model $IDEFICS3 --labels PER", {},
         r"--image nowhere\.png: there is no such picture", "check the path"),
    Kind("picture-of-one-post-is-an-address", "tag --text Ann --image http://localhost/x.png --model $IDEFICS3 "
         "--labels PER", {}, r"--image http://localhost/x\.png: an address is not fetched", "the path of its file"),
    Kind("picture-broken-when-tagged", "tag posts.jsonl -o out.jsonl --model $IDEFICS3 --labels PER",
         {"posts.jsonl": WITH_PICTURE, "a.png": b"no"}, r"a\.png: not a picture", "save it again"),
    Kind("picture-broken-in-training", "finetune config.yaml",
         {"posts.jsonl": WITH_PICTURE, "a.png": JPEG[: len(JPEG) // 2], "config.yaml": config()},
         r"a\.png: the picture is broken", "save it again", leaves=("run.*",)),
)  # fmt: skip
