"""Pictures: opened safely and upright, and boxes between their pixels and the units of a model."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from instruct_mner.errors import DataError
from instruct_mner.files import is_file

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

# A JPEG that lacks more of its rows is broken.
_MOST_LACKING = 0.25
_SCAN, _END_OF_JPEG = b"\xff\xda", b"\xff\xd9"
# Source: libjpeg (jdhuff.c) leaves blocks without data at zero, the middle of the range; inverted, as in CMYK, 127.
_NO_DATA = frozenset({127, 128})

_REMEDY = "save it again as JPEG or PNG, or take it out of its post"


def open_image(source: Path | bytes, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Image.Image:
    """Open a picture: upright by its EXIF orientation, RGB, transparency on white, the first frame.

    A JPEG that lacks its last bytes is opened as far as it goes. A picture whose sides have a ratio above ``MAX_RATIO``
    gets a white margin on the right or below, so that places in it stay where they are.

    Args:
        source: A file or its bytes; addresses are never followed.
        max_pixels: Larger pictures are refused before they are decoded.
        max_bytes: Larger files are refused before they are read.

    Raises:
        DataError: Missing, too large, broken, or not a picture.
    """
    name, content = _name(source), _content(source, max_bytes)
    with _open(content, name, max_pixels) as image:
        orientation = _orientation(image)
        try:
            upright = _as_rgb(_loaded(image, content)[0])
        except _BROKEN as error:
            raise DataError(f"{name}: the picture is broken ({error}); {_REMEDY}") from None
    return _with_margin(_turned(upright, orientation))


@dataclass(frozen=True)
class PictureCheck:
    """Result of a look at a picture that can be opened.

    Attributes:
        format: Format of the file, as Pillow names it.
        lacks_end: True for a JPEG that lacks its last bytes.
        digest: Hash of the content of the file.
    """

    format: str
    lacks_end: bool
    digest: bytes


def check_image(source: Path | bytes) -> PictureCheck:
    """Decode a picture as ``open_image`` does, a JPEG at an eighth of its size, and drop the pixels.

    Raises:
        DataError: The errors of ``open_image``.
    """
    name, content = _name(source), _content(source, MAX_BYTES)
    with _open(content, name, MAX_PIXELS) as image:
        form = image.format or ""
        try:
            image.draft(None, (1, 1))
            _, lacks_end = _loaded(image, content)
        except _BROKEN as error:
            raise DataError(f"{name}: the picture is broken ({error}); {_REMEDY}") from None
    return PictureCheck(form, lacks_end, hashlib.blake2b(content, digest_size=16).digest())


def as_image(source: str | Path | bytes | Image.Image) -> Image.Image:
    """Return a picture however it is given: a path, the bytes of a file, or opened already.

    One that is opened is turned by its EXIF orientation as its file is; Pillow's ``exif_transpose`` takes that out.

    Raises:
        DataError: The errors of ``open_image``, and for an address.
    """
    if isinstance(source, str):
        check_no_address(source)
    if isinstance(source, Image.Image):
        if 0 in source.size:
            raise DataError(f"the opened picture has {source.width} x {source.height} pixels; {_REMEDY}")
        if source.mode == "F" or (source.mode == "I" and source.format != "PNG"):
            raise DataError(
                f"the opened picture is of Pillow's mode {source.mode!r}, whose values have no fixed range; scale them "
                "to 0..255, and convert it to 'L' or 'RGB'"
            )
        try:
            return _with_margin(_turned(_as_rgb(source), _orientation(source)))
        except _BROKEN as error:
            raise DataError(f"the opened picture is broken ({error}); {_REMEDY}") from None
    return open_image(Path(source) if isinstance(source, str) else source)


def check_no_address(source: str) -> None:
    """Refuse an address in the place of a path, which would lose one of its slashes there.

    Raises:
        DataError: It is one.
    """
    if "://" in source[:16] or source[:5].lower() == "data:":
        raise DataError(f"{source:.200}: an address is not fetched; save the picture, and give the path of its file")


def image_size(source: Path | bytes, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> tuple[int, int]:
    """Return width and height as ``open_image`` gives them, without any margin, read from the header.

    Args:
        source: A file or its bytes.
        max_pixels: Largest number of pixels; larger pictures are refused.
        max_bytes: Larger files are refused before they are read.

    Raises:
        DataError: Missing, too large, or not a picture.
    """
    with _open(_content(source, max_bytes), _name(source), max_pixels) as image:
        width, height = image.size
        return (height, width) if _orientation(image) in {5, 6, 7, 8} else (width, height)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


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


def _content(source: Path | bytes, max_bytes: int) -> bytes:
    name = _name(source)
    if isinstance(source, Path) and not is_file(source):
        raise DataError(f"{name:.200}: there is no such picture")
    num_bytes = source.stat().st_size if isinstance(source, Path) else len(source)
    if num_bytes > max_bytes:
        raise DataError(f"{name}: {num_bytes} bytes, more than the {max_bytes} allowed; make it smaller")
    try:
        # Read at once, not by path: the file is closed again whatever happens to the picture.
        return source.read_bytes() if isinstance(source, Path) else source
    except OSError as error:
        raise DataError(f"{name}: the picture cannot be read ({error.strerror or error}); check the file") from None


def _open(content: bytes, name: str, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except _BROKEN as error:
        bomb = isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning)
        reason = "far too many pixels" if bomb else f"none of {', '.join(_FORMATS)}"
        raise DataError(f"{name}: not a picture that can be used ({reason}); {_REMEDY}") from None
    width, height = image.size
    if width * height > max_pixels:
        raise DataError(f"{name}: {width} x {height} pixels, more than the {max_pixels} allowed; make it smaller")
    return image


def _loaded(image: Image.Image, content: bytes) -> tuple[Image.Image, bool]:
    """Return the picture with its pixels, and whether it is a JPEG that lacks its last bytes.

    Raises:
        OSError: It is broken; of what Pillow raises, see ``_BROKEN``.
    """
    try:
        image.load()
    except OSError as error:
        if image.format != "JPEG" or "truncated" not in str(error):
            raise
        if _lacking_share(content) > _MOST_LACKING:
            raise
        ended = _jpeg(content + _END_OF_JPEG, image.size)
        ended.load()
        return ended, True
    return image, False


def _jpeg(content: bytes, size: tuple[int, int]) -> JpegImageFile:
    """Return a JPEG that is not decoded yet, at the smallest of its sizes that is no smaller than the given one."""
    image = JpegImageFile(io.BytesIO(content))
    image.draft(None, size)
    return image


def _lacking_share(content: bytes) -> float:
    """Return the share of rows that a JPEG lacks at the bottom, as its eighth tells.

    Rows are lacking where the decoder did not reach them and, when it is told that the file ends there, fills them
    with the grey of blocks without data. A plain bottom of the picture's own is one or the other, not both.
    """
    reached = _jpeg(content, (1, 1))
    assert reached.fp is not None  # it stands behind the header
    if "progression" in reached.info and _SCAN in content[reached.fp.tell() :]:
        return 0.0  # the first scan, which has all blocks, is whole
    try:
        reached.load()
    except OSError:
        reached.tile = []  # for Pillow decoded: rows that were not reached are zero
    ended = _jpeg(content + _END_OF_JPEG, (1, 1))
    ended.load()
    fill = ended.getpixel((ended.width - 1, ended.height - 1))
    if not _NO_DATA.issuperset(fill if isinstance(fill, tuple) else (fill,)):
        return 0.0
    not_reached = ImageChops.difference(ended, reached).getbbox()
    filled_otherwise = ImageChops.difference(ended, Image.new(ended.mode, ended.size, fill)).getbbox()
    first = max(not_reached[1] if not_reached else ended.height, filled_otherwise[3] if filled_otherwise else 0)
    return 1 - first / ended.height


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
