"""Captions, tags and OCR: each alone and together, by real loading code on tiny models, and by Tesseract itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_server import chat, serving
from huggingface_hub import constants
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.context import run as context_run
from instruct_mner.context.object_tags import Detector
from instruct_mner.context.ocr import TextReader
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split
from instruct_mner.engines.engine import Completion
from instruct_mner.errors import ConfigError, DataError, ModelError
from instruct_mner.schema.records import Example
from instruct_mner.testing.posts import make_posts

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="the program tesseract is not installed")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["context", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stderr


@pytest.fixture(scope="session")
def detector(tmp_path_factory) -> Path:
    """A random YOLOS of a few thousand weights, as its makers publish theirs."""
    import torch
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    torch.manual_seed(0)
    kinds = ["cat", "N/A", "ball", "car", "tree"]
    config = YolosConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=[64, 96],
        patch_size=16, num_detection_tokens=12, id2label=dict(enumerate(kinds)),
        label2id={kind: number for number, kind in enumerate(kinds)},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("detector")
    YolosForObjectDetection(config).save_pretrained(folder)
    YolosImageProcessor(size={"shortest_edge": 64, "longest_edge": 96}).save_pretrained(folder)
    return folder


def picture_of(text: str) -> Image.Image:
    picture = Image.new("RGB", (460, 120), "white")
    ImageDraw.Draw(picture).text((20, 30), text, "black", font=ImageFont.load_default(48))
    return picture


def test_tags_are_those_of_the_detector(detector) -> None:
    picture = Image.effect_noise((90, 60), 90).convert("RGB")
    every = Detector(str(detector), least_score=0.0, most_tags=99).tags(picture)
    assert set(every) <= {"cat", "ball", "car", "tree"}  # never N/A
    assert len(every) == len(set(every)) > 0
    assert Detector(str(detector), least_score=0.0, most_tags=1).tags(picture) == every[:1]
    assert Detector(str(detector), least_score=1.0).tags(picture) == ()


def test_tags_come_the_surest_first(detector) -> None:
    import torch

    picture = Image.effect_noise((90, 60), 90).convert("RGB")
    found = Detector(str(detector), least_score=0.0, most_tags=99)
    with torch.no_grad():
        logits = found._model(**found._processor(images=picture, return_tensors="pt")).logits[0]
    best: dict[str, float] = {}
    for row in logits.softmax(-1)[:, :-1].tolist():
        score = max(row)
        name = found._model.config.id2label[row.index(score)]
        best[name] = max(best.get(name, 0.0), score)
    best.pop("N/A", None)
    assert found.tags(picture) == tuple(sorted(best, key=lambda name: -best[name]))


@needs_tesseract
def test_text_in_pictures() -> None:
    reader = TextReader()
    assert reader.read(picture_of("OPENING NIGHT")) == "OPENING NIGHT"
    assert reader.read(Image.new("RGB", (200, 200), "blue")) is None
    for side in (2, 8, 9):
        assert reader.read(Image.new("RGB", (side, side), "blue")) is None
    with pytest.raises(ConfigError, match="tesseract has no xyz"):
        TextReader("eng+xyz")


class Reader:
    """A reader that fails on pictures of one colour, as Tesseract does without memory."""

    read = TextReader.read
    TesseractError = type("TesseractError", (RuntimeError,), {"message": "no memory"})
    Output = SimpleNamespace(DICT="dict")
    _languages = "eng"

    def __init__(self, languages: str) -> None:
        self._pytesseract = self

    def image_to_data(self, picture: Image.Image, **_: object) -> dict[str, list[object]]:
        if picture.getpixel((0, 0)) == (255, 0, 0):
            raise self.TesseractError
        if picture.getpixel((0, 0)) == (0, 0, 255):
            raise RuntimeError("Tesseract process timeout")
        return {"text": ["ACME"], "conf": [90]}


@pytest.mark.parametrize("num", [3, 20])
def test_pictures_that_tesseract_cannot_read_are_told_and_keep_their_text(num, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(context_run, "TextReader", Reader)
    for colour in ("red", "blue", "green"):
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"{colour}.png")
    Image.new("RGB", (2, 2), "red").save(tmp_path / "tiny.png")

    def posts(*names: str) -> Path:
        rows = [
            {"id": str(number), "text": "x", "images": [name], "context": {"ocr": "of before"}}
            for number, name in enumerate(names)
        ]
        path = tmp_path / "posts.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    told = run(posts("green.png", "red.png", "blue.png", "tiny.png"), tmp_path / "a.jsonl", "--ocr")
    assert "--ocr: in 2 of 4 posts the pictures cannot be read; their text in pictures is left as it was:\n" in told
    assert "post '1': tesseract cannot read the picture (no memory)\n" in told
    assert "post '2': tesseract cannot read the picture (Tesseract process timeout)\n" in told
    texts = [post.context and post.context.ocr for post in load_split(str(tmp_path / "a.jsonl")).examples]
    assert texts == ["ACME", "of before", "of before", None]
    with pytest.raises(DataError, match=f"in none of {min(num, 16)} posts the pictures can be read; mend tesseract"):
        run(posts(*["red.png"] * num), tmp_path / "b.jsonl", "--ocr")
    assert not list(tmp_path.glob("b.jsonl*"))


def test_captions_are_written_and_of_two_pictures_joined(tmp_path, monkeypatch) -> None:
    class Captioner:
        def generate(self, requests):
            return [Completion(text=f"A picture\nof {request.images[0].width}.") for request in requests]

    monkeypatch.setattr(context_run, "base_engine", lambda *_: Captioner())
    for size in (4, 9):
        Image.new("RGB", (size, size)).save(tmp_path / f"{size}.png")
    write_jsonl(
        tmp_path / "in.jsonl", [Example(id="1", text="x", images=("4.png", "9.png")), Example(id="2", text="y")]
    )
    assert "have none" not in run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--captions", "starter")
    captions = [post.context and post.context.caption for post in load_split(str(tmp_path / "out.jsonl")).examples]
    assert captions == ["A picture of 4. A picture of 9.", None]


def test_all_of_it(detector, tiny_models, tmp_path) -> None:
    posts = make_posts(tmp_path / "in")
    picture_of("ACME").save(tmp_path / "in" / "2.png")
    ocr = [] if shutil.which("tesseract") is None else ["--ocr"]
    out = tmp_path / "out" / "context.jsonl"
    told = run(posts, out, "--captions", tiny_models("idefics3"), "--tags", detector, "--least-score", 0, *ocr)
    # This model was never taught to end.
    assert "--captions: 5 of 5 pictures have none: the model said nothing, or came to no end" in told
    before, after = load_split(str(posts)), load_split(str(out))  # whose pictures are found from there
    assert [post.without_images().model_copy(update={"context": None}) for post in after.examples] == [
        post.without_images() for post in before.examples
    ]
    assert [after.picture_paths(post)[0].resolve() for post in after.examples if post.images] == [
        before.picture_paths(post)[0].resolve() for post in before.examples if post.images
    ]
    for post in after.examples:
        if not post.images:
            assert post.context is None
            continue
        assert post.context is not None
        assert post.context.tags
        assert post.context.caption is None
    if ocr:
        assert after.examples[2].context is not None
        assert after.examples[2].context.ocr == "ACME"


def test_what_is_not_asked_for_stays(detector, tmp_path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    said = {"caption": "of before", "tags": ["old"], "ocr": "text"}
    rows = [{"id": "1", "text": "x", "images": ["a.png", "a.png"], "context": said}, {"id": "2", "text": "y"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving(lambda body, number: (200, chat(" a red\n square "))) as server:
        run(tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--captions", "m", "--endpoint", server.url)
        bodies = server.bodies
    assert len(bodies) == 2
    assert [part["type"] for part in bodies[0]["messages"][0]["content"]] == ["image_url", "text"]
    one, two = load_split(str(tmp_path / "b.jsonl")).examples
    assert one.context is not None
    assert one.context.model_dump() == {"caption": "a red square a red square", "tags": ("old",), "ocr": "text"}
    assert two.context is None


def test_what_becomes_of_posts_with_missing_and_broken_pictures_is_told(tmp_path) -> None:
    posts = make_posts(tmp_path)
    (tmp_path / "2.png").unlink()
    (tmp_path / "3.png").write_bytes(b"none")
    with serving(lambda body, number: (200, chat("a square"))) as server:
        flags = ["--captions", "m", "--endpoint", server.url, "--missing-image"]
        told = run(posts, tmp_path / "a.jsonl", *flags, "skip")
        as_text = run(posts, tmp_path / "b.jsonl", *flags, "text")
    assert f"1 of 5 pictures are missing (2.png): not in {tmp_path}; their posts are left out\n" in told
    assert "1 picture(s) cannot be used, their posts are left out:\n" in told
    assert (len(load_split(str(tmp_path / "a.jsonl")).examples), as_text.count("their posts are read as text")) == (
        4,
        2,
    )


def test_a_killed_run_goes_on(detector, tmp_path, monkeypatch) -> None:
    posts = make_posts(tmp_path)
    monkeypatch.setattr(context_run, "_WINDOW", 2)
    run(posts, tmp_path / "whole.jsonl", "--tags", detector, "--least-score", 0)
    seen: list[int] = []
    original = Detector.tags

    def dies(self, picture):
        seen.append(1)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return original(self, picture)

    monkeypatch.setattr(Detector, "tags", dies)
    arguments = ["context", str(posts), str(tmp_path / "out.jsonl"), "--tags", str(detector), "--least-score", "0"]
    CliRunner().invoke(app, arguments)
    assert not (tmp_path / "out.jsonl").exists()
    picture = next(posts.parent.glob("*.png"))
    before = picture.read_bytes()
    Image.new("RGB", (9, 9)).save(picture)
    with pytest.raises(ConfigError, match="is of a run with another"):
        run(*arguments[1:])
    picture.write_bytes(before)
    assert "2 posts described" in run(*arguments[1:])
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        ([], ConfigError, "nothing is asked for"),
        (["--endpoint", "http://127.0.0.1:1"], ConfigError, "nothing is asked for"),
        (
            ["--tags", "nowhere"],
            ModelError,
            "model nowhere cannot be loaded: it is not in the cache, and HF_HUB",
        ),
        (["--captions", "a/b"], ModelError, "model a/b cannot be loaded: it is not in the cache, and HF_HUB_OFFLINE"),
        (["--tags", "ADAPTER"], ModelError, "it is an adapter, and a whole model is asked for"),
        (["--captions", "ADAPTER"], ModelError, "it is an adapter, and a whole model is asked for"),
        (["--tags", "EMPTY"], ModelError, "there is no config.json in it"),
        (["--tags", "MODEL"], ModelError, "cannot be loaded"),
    ],
)
def test_mistakes(flags, error, message, tiny_models, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    posts = make_posts(tmp_path)
    (tmp_path / "run" / "adapter").mkdir(parents=True)
    (tmp_path / "run" / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    folders = {"MODEL": tiny_models("idefics3"), "ADAPTER": tmp_path / "run", "EMPTY": tmp_path / "empty"}
    given = [str(folders.get(flag, flag)) for flag in flags]
    with pytest.raises(error, match=message):
        run(posts, tmp_path / "out.jsonl", *given)
    with pytest.raises(ConfigError, match=r"name a \.jsonl file"):
        run(posts, tmp_path / "out.parquet", *given)
    (tmp_path / "0.png").unlink()
    with pytest.raises(DataError, match="1 of 5 pictures are missing"):
        run(posts, tmp_path / "out.jsonl", *given)
    assert not list(tmp_path.glob("out*"))
