from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from instruct_mner.errors import DataError
from instruct_mner.images import as_image, check_image, image_size, open_image
from instruct_mner.schema.boxes import BoxConvention, to_model_units, to_pixels


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def corners(width: int = 40, height: int = 24) -> Image.Image:
    """Red, green, blue, white: top left, top right, bottom left, bottom right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 255)
    return Image.fromarray(pixels)


def colours(image: Image.Image) -> list[str]:
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white"}
    width, height = image.size
    places = [(2, 2), (width - 3, 2), (2, height - 3), (width - 3, height - 3)]
    pixels = np.asarray(image)
    return [names.get(tuple((pixels[y, x] > 127).astype(int)), "other") for x, y in places]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(form: str, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = corners().transpose(undo[orientation]) if orientation in undo else corners()
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(stored, form, exif=exif)
    opened = open_image(content)
    assert opened.mode == "RGB"
    assert colours(opened) == ["red", "green", "blue", "white"]
    assert opened.size == image_size(content) == (40, 24)


CASES = {
    "progressive": encode(corners(), "JPEG", progressive=True),
    "cmyk": encode(corners().convert("CMYK"), "JPEG"),
    "rgba": encode(corners().convert("RGBA"), "PNG"),
    "palette": encode(corners().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "webp": encode(corners(), "WEBP", lossless=True),
    "bmp": encode(corners(), "BMP"),
    "animated": encode(
        corners(), "GIF", save_all=True, append_images=[Image.new("RGB", (40, 24), "black")], duration=100
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_opens_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(CASES[name])
    opened = open_image(path)
    assert opened.mode == "RGB"
    assert colours(opened) == ["red", "green", "blue", "white"]
    assert image_size(path) == opened.size == (40, 24)


def test_a_sliver_opens() -> None:
    content = encode(Image.new("RGB", (9, 372)), "JPEG")
    assert open_image(content).size == image_size(content) == (9, 372)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_becomes_white(mode: str) -> None:
    clear = Image.new(mode, (2, 2), (0,) * len(mode))
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    assert open_image(encode(clear, "PNG")).getpixel((0, 0)) == (255, 255, 255)
    assert open_image(encode(half, "PNG")).getpixel((0, 0)) == (127, 127, 127)
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([0, 0, 0])
    assert open_image(encode(palette, "PNG", transparency=0)).getpixel((0, 0)) == (255, 255, 255)


def test_greys_of_8_and_16_bits() -> None:
    deep = Image.fromarray(np.array([[0, 128 * 256, 65535]], np.uint16))
    opened = np.asarray(open_image(encode(deep, "PNG")))
    assert opened[0, :, 0].tolist() == [0, 128, 255]
    assert open_image(encode(Image.new("L", (1, 1), 128), "PNG")).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("values", [np.array([[0.0, 1.0]], np.float32), np.array([[0, 255]], np.int32)])
def test_an_opened_picture_whose_values_have_no_range_is_refused(values: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"mode '[FI]', whose values have no fixed range; scale them to 0\.\.255"):
        as_image(Image.fromarray(values))
    deep = Image.fromarray(np.array([[0, 65535]], np.uint16))
    assert np.asarray(as_image(deep))[0, :, 0].tolist() == [0, 255]


def cut_jpegs(num_bytes: int | float, *, bottom: tuple[float, str | tuple[int, int, int]] | None) -> Iterator[bytes]:
    """Noise over a bottom of one colour as JPEG of every kind, without its last bytes, or without a share of them."""
    kinds: list[dict[str, Any]] = [{}, {"subsampling": 0}, {"progressive": True}, {"restart_marker_rows": 1}]
    for (width, height), mode, kind in product([(300, 300), (333, 257), (64, 80)], ("RGB", "L", "CMYK"), kinds):
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
        if bottom is not None:
            image.paste(bottom[1], (0, round(height * (1 - bottom[0])), width, height))
        content = encode(image.convert(mode), "JPEG", **kind)
        yield content[: -num_bytes if isinstance(num_bytes, int) else round(len(content) * (1 - num_bytes))]


def opens(content: bytes, path: Path) -> bool:
    """Whether a picture is opened; the check says the same."""
    path.write_bytes(content)
    results = []
    for look in (open_image, check_image):
        try:
            look(path)
            results.append(True)
        except DataError:
            results.append(False)
    assert results[0] == results[1]
    return results[0]


@pytest.mark.parametrize("colour", ["white", "black", (200, 30, 30), (128, 128, 128)])
@pytest.mark.parametrize("num_bytes", [1, 2, 3])
def test_a_plain_bottom_of_a_jpeg_that_lacks_its_last_bytes_is_not_lacking(
    tmp_path: Path, num_bytes: int, colour: str | tuple[int, int, int]
) -> None:
    assert all(opens(each, tmp_path / "a.jpg") for each in cut_jpegs(num_bytes, bottom=(0.3, colour)))


@pytest.mark.parametrize(("share", "num_opened"), [(0.1, {36}), (0.28, set(range(9, 36))), (0.5, {9})])
def test_a_jpeg_that_lacks_much_is_broken_and_the_check_says_so_too(
    tmp_path: Path, share: float, num_opened: set[int]
) -> None:
    opened = [opens(each, tmp_path / "a.jpg") for each in cut_jpegs(share, bottom=None)]
    # Of progressive ones, which are 9, the first part of the file has all rows.
    assert sum(opened) in num_opened


def huge_png(width: int, height: int) -> bytes:
    """A few bytes that say they are a large picture."""
    chunks = b""
    for name, body in ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b"")):
        chunks += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(9000, 8000), (12000, 9000), (60000, 60000)])
def test_bombs_are_refused_before_they_are_decoded(width: int, height: int) -> None:
    # The picture has no pixels at all: it could not be refused for its size by whoever decodes first.
    with pytest.raises(DataError, match="pixels"):
        open_image(huge_png(width, height))
    with pytest.raises(DataError, match="pixels"):
        image_size(huge_png(width, height))


def test_limits_are_the_callers_choice(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(corners(), "PNG"))
    assert open_image(path, max_pixels=960).size == (40, 24)
    with pytest.raises(DataError, match="40 x 24 pixels, more than the 959 allowed"):
        open_image(path, max_pixels=959)
    with pytest.raises(DataError, match="bytes, more than the 20 allowed"):
        open_image(path, max_bytes=20)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encode(corners(200, 200), "JPEG")[:900], "the picture is broken"),
        (encode(corners(200, 200), "PNG")[:-40], "the picture is broken"),
        (b"", "not a picture"),
        (b"<html>404</html>", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ],
    ids=["jpeg", "png", "empty", "html", "eps"],
)
def test_what_is_broken_is_said_with_its_name_and_remedy(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"picture.jpg: .*{reason}.*save it again as JPEG or PNG"):
        open_image(path)


@pytest.mark.parametrize("name", ["nowhere.jpg", ".", "http:/example.org/a.jpg"])
def test_what_is_no_file_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"^https://a\.example/x\.png: an address is not fetched"):
        as_image("https://a.example/x.png")
    with pytest.raises(DataError, match="there is no such picture"):
        open_image(tmp_path / name)


@given(
    st.integers(0, len(CASES["progressive"]) - 1),
    st.integers(0, 255),
    st.sampled_from(["progressive", "palette"]),
)
def test_a_spoiled_byte_gives_a_picture_or_a_data_error(place: int, value: int, name: str) -> None:
    content = bytearray(CASES[name])
    content[place % len(content)] = value
    try:
        assert open_image(bytes(content), max_pixels=10**6).mode == "RGB"
    except DataError as error:
        assert "picture of" in str(error)


def test_real_pictures_have_the_size_that_was_noted(shared_data: Path) -> None:
    for line in (shared_data / "images" / "index.jsonl").read_text().splitlines():
        row = json.loads(line)
        path = shared_data / "images" / row["image"]
        assert list(open_image(path).size) == list(image_size(path)) == row["size"]


SIDES = st.integers(1, 5000)


@st.composite
def boxed(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    width, height = draw(SIDES), draw(SIDES)
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (width, height), (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))


@given(boxed(), st.sampled_from([1000, 1024, 100]))
def test_relative_boxes_come_back_within_one_unit(
    case: tuple[tuple[int, int], tuple[int, int, int, int]], largest: int
) -> None:
    size, box = case
    convention = BoxConvention("relative", largest)
    units = to_model_units(box, size, convention)
    assert 0 <= units[0] < units[2] <= largest
    assert 0 <= units[1] < units[3] <= largest
    pixels = to_pixels(units, size, convention)
    for side, (was, is_now) in enumerate(zip(box, pixels, strict=True)):
        # A unit of the model, or a pixel where that is the coarser one; both are rounded to.
        assert abs(was - is_now) <= max(1, size[side % 2] / largest) + 0.5


@given(boxed(), SIDES, SIDES)
def test_absolute_boxes_come_back_within_one_unit(
    case: tuple[tuple[int, int], tuple[int, int, int, int]], width: int, height: int
) -> None:
    size, box = case
    convention = BoxConvention("absolute")
    units = to_model_units(box, size, convention, resized=(width, height))
    pixels = to_pixels(units, size, convention, resized=(width, height))
    for side, (was, is_now) in enumerate(zip(box, pixels, strict=True)):
        assert abs(was - is_now) <= max(1, size[side % 2] / (width, height)[side % 2]) + 0.5


@given(st.tuples(*[st.integers(-(10**9), 10**9)] * 4), SIDES, SIDES)
def test_whatever_a_model_says_becomes_a_box(box: tuple[int, int, int, int], width: int, height: int) -> None:
    x0, y0, x1, y1 = to_pixels(box, (width, height), BoxConvention())
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height


@pytest.mark.parametrize(
    ("box", "size", "units"),
    [
        ((0, 0, 640, 480), (640, 480), (0, 0, 1000, 1000)),
        ((64, 48, 320, 240), (640, 480), (100, 100, 500, 500)),
        ((12, 40, 88, 97), (100, 200), (120, 200, 880, 485)),
        ((0.25, 0, 0.5, 1), (1, 1), (250, 0, 500, 1000)),
        ((3999, 0, 4000, 1), (4000, 4000), (999, 0, 1000, 1)),
    ],
)
def test_relative_units(box: tuple[float, ...], size: tuple[int, int], units: tuple[int, ...]) -> None:
    assert to_model_units(box, size, BoxConvention()) == units  # type: ignore[arg-type]


def test_absolute_units_need_the_resized_size() -> None:
    convention = BoxConvention("absolute")
    assert to_model_units((10, 20, 50, 100), (100, 100), convention, resized=(56, 28)) == (6, 6, 28, 28)
    with pytest.raises(ValueError, match="size to which the processor resizes"):
        to_model_units((10, 20, 50, 100), (100, 100), convention)


@pytest.mark.parametrize(
    ("size", "widened"),
    [((5000, 2), (5000, 25)), ((2, 5001), (26, 5001)), ((200, 1), (200, 1)), ((201, 1), (201, 2)), ((3, 3), (3, 3))],
)
def test_a_picture_far_too_narrow_gets_a_margin(size: tuple[int, int], widened: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "red")
    for opened in (open_image(encode(picture, "PNG")), as_image(picture)):
        assert opened.size == widened
        assert max(opened.size) <= 200 * min(opened.size)
        assert opened.crop((0, 0, *size)).getcolors() == [(size[0] * size[1], (255, 0, 0))]
        assert opened.getpixel((widened[0] - 1, widened[1] - 1)) == ((255, 0, 0) if widened == size else (255,) * 3)
    assert image_size(encode(picture, "PNG")) == size
