"""What the tagger makes of pictures, thresholds and labels from Python; the engine is a stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from name_finder import NameFinder, tagger_of
from PIL import Image

from instruct_mner.engines.engine import Request
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.images import as_image, open_image
from instruct_mner.schema.records import Example
from instruct_mner.tagging.tagger import Tagger


class Seeing(NameFinder):
    """An engine that keeps the sizes of the pictures that it is shown."""

    def count_image_tokens(self, sizes: Sequence[tuple[int, int]]) -> Sequence[int]:
        return [0] * len(sizes)

    def count_prompt(self, request: Request) -> int:
        parts = (part for message in request.messages for part in message["content"])
        return sum(self.count_tokens(part.get("text", "")) for part in parts)

    @property
    def pictures(self) -> list[list[tuple[int, int]]]:
        return [[picture.size for picture in request.images] for request in self.requests]


def seeing(max_images: int = 1) -> tuple[Tagger, Seeing]:
    engine = Seeing()
    plain = tagger_of(engine)
    return plain._with_manifest(plain.manifest.model_copy(update={"max_images": max_images})), engine


def post(*names: str) -> Example:
    return Example(id="7", text="Zoe left", images=names)


def test_the_pictures_of_examples_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (30, 20)).save("7.jpg")
    tagger, engine = seeing()
    [by_name] = tagger.predict([post("7.jpg")])
    [by_id] = tagger.predict([post("7")])
    [by_path] = tagger.predict([post(str(tmp_path / "7.jpg"))])
    [given] = tagger.predict([post("elsewhere.jpg")], lambda example: [tmp_path / "7.jpg"])
    assert engine.pictures == [[(30, 20)]] * 4
    assert by_name.images == ("7.jpg",)
    assert by_name.entities == by_id.entities == by_path.entities == given.entities


def test_a_picture_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tagger, _ = seeing()
    with pytest.raises(
        DataError, match=r"post '7': picture 'no\.jpg' is not in .*picture_paths=dataset\.picture_paths"
    ):
        list(tagger.predict([post("no.jpg")]))
    text_only, engine = seeing(max_images=0)
    list(text_only.predict([post("no.jpg")]))
    assert engine.pictures == [[]]


@pytest.mark.parametrize("threshold", [80, -0.1, 1.01, float("nan")])
def test_a_threshold_that_is_no_confidence_is_refused(threshold: float) -> None:
    tagger, engine = seeing()
    with pytest.raises(ConfigError, match="is no confidence from 0 to 1"):
        tagger.predict_entities("Zoe left", threshold=threshold)
    with pytest.raises(ConfigError, match="is no confidence from 0 to 1"):
        list(tagger.predict([post()], threshold=threshold))
    assert engine.pictures == []


def test_per_cent_are_told_as_such() -> None:
    with pytest.raises(ConfigError, match=r"threshold 80 is no confidence from 0 to 1: write 0\.8 for 80 %"):
        seeing()[0].predict_entities("Zoe left", threshold=80)


def test_labels_in_one_string_are_refused_with_the_list() -> None:
    tagger, _ = seeing()
    for ask in (
        lambda: tagger.predict_entities("Zoe left", labels="PER,LOC"),
        lambda: list(tagger.predict([post()], labels="PER,LOC")),
        lambda: tagger.predict_opened([(post(), ())], "PER,LOC"),
    ):
        with pytest.raises(ConfigError, match=r"not the string 'PER,LOC': write \['PER', 'LOC'\]"):
            ask()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_opened_picture_is_turned_as_its_file_is(tmp_path: Path, orientation: int, form: str) -> None:
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :12] = (250, 5, 5)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{form.lower()}"
    Image.fromarray(pixels).save(path, form, exif=exif)
    with Image.open(path) as opened:
        assert np.array_equal(np.asarray(as_image(opened)), np.asarray(open_image(path)))
    tagger, engine = seeing()
    with Image.open(path) as opened:
        tagger.predict_entities("Zoe left", image=opened)
    tagger.predict_entities("Zoe left", image=path)
    assert engine.pictures[0] == engine.pictures[1] == [(24, 16) if orientation < 5 else (16, 24)]


def test_an_opened_picture_that_is_broken_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.effect_noise((64, 64), 90).save(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match="the opened picture is broken"), Image.open(path) as opened:
        as_image(opened)
