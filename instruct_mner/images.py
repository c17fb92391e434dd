"""Pictures: opened safely and upright, and boxes between their pixels and the units of a model."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

from PIL import Image

from instruct_mner.errors import DataError

MAX_PIXELS = 64_000_000
"""Largest picture that is decoded; above every phone, below what fills the memory (192 MB as RGB)."""

MAX_RATIO = 200
"""Largest ratio of a picture's sides; narrower ones get a white margin.

Source: ``smart_resize`` of Qwen2-VL's image processor in transformers 5.19 raises above it.
"""

MAX_BYTES = 64 * 2**20
"""Largest file that is read."""

# What posts hold. Pillow's other decoders (EPS, PSD, FITS …) are only more to attack.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")

# Source: EXIF 2.32, tag 0x0112: what brings a picture of each orientation upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112

# What Pillow's decoders raise on files that are broken or made to harm.
_BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, ArithmeticError, struct.error,
    zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip

_REMEDY = "save it again as JPEG or PNG, or take it out of its post"


def open_image(source: Path | bytes, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Image.Image:
    """Open a picture: upright by its EXIF orientation, RGB, transparency on white, the first frame.

    A picture whose sides have a ratio above ``MAX_RATIO`` gets a white margin on the right or below, so that places in
    it stay where they are.

    Args:
        source: A file or its bytes; addresses are never followed.
        max_pixels: Larger pictures are refused before they are decoded.
        max_bytes: Larger files are refused before they are read.

    Raises:
        DataError: Missing, too large, broken, or not a picture.
    """
    with _open(source, max_pixels, max_bytes) as image:
        orientation = _orientation(image)
        try:
            image.load()
            upright = _as_rgb(image)
        except _BROKEN as error:
            raise DataError(f"{_name(source)}: the picture is broken ({error}); {_REMEDY}") from None
    if orientation in _UPRIGHT:
        upright = upright.transpose(_UPRIGHT[orientation])
    return _with_margin(upright)


def as_image(source: str | Path | bytes | Image.Image) -> Image.Image:
    """Return a picture however it is given: a path, the bytes of a file, or opened already."""
    if isinstance(source, Image.Image):
        return _with_margin(_as_rgb(source))
    return open_image(Path(source) if isinstance(source, str) else source)


def image_size(source: Path | bytes) -> tuple[int, int]:
    """Return width and height as ``open_image`` gives them, without any margin, read from the header.

    Raises:
        DataError: Missing, or not a picture.
    """
    with _open(source, MAX_PIXELS, MAX_BYTES) as image:
        width, height = image.size
        return (height, width) if _orientation(image) in {5, 6, 7, 8} else (width, height)


def _with_margin(image: Image.Image) -> Image.Image:
    width, height = image.size
    least = -(-max(width, height) // MAX_RATIO)
    if min(width, height) >= least:
        return image
    whole = Image.new("RGB", (max(width, least), max(height, least)), "white")
    whole.paste(image, (0, 0))
    return whole


def _name(source: Path | bytes) -> str:
    return str(source) if isinstance(source, Path) else f"picture of {len(source)} bytes"


def _open(source: Path | bytes, max_pixels: int, max_bytes: int) -> Image.Image:
    name = _name(source)
    if isinstance(source, Path):
        if not source.is_file():
            raise DataError(f"{name}: there is no such picture")
        num_bytes = source.stat().st_size
    else:
        num_bytes = len(source)
    if num_bytes > max_bytes:
        raise DataError(f"{name}: {num_bytes} bytes, more than the {max_bytes} allowed; make it smaller")
    try:
        # Read at once, not by path: the file is closed again whatever happens to the picture.
        file = io.BytesIO(source.read_bytes() if isinstance(source, Path) else source)
        image = Image.open(file, formats=_FORMATS)
    except _BROKEN as error:
        bomb = isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning)
        reason = "far too many pixels" if bomb else f"none of {', '.join(_FORMATS)}"
        raise DataError(f"{name}: not a picture that can be used ({reason}); {_REMEDY}") from None
    width, height = image.size
    if width * height > max_pixels:
        raise DataError(f"{name}: {width} x {height} pixels, more than the {max_pixels} allowed; make it smaller")
    return image


def _orientation(image: Image.Image) -> int:
    try:
        # Not `image.getexif()`: that of PNG decodes the whole picture to look behind the pixels.
        return int(Image.Image.getexif(image).get(_ORIENTATION, 1))
    except _BROKEN:
        return 1  # broken EXIF says nothing of the pixels


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit greys: Pillow clips at 255 where it should scale.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
