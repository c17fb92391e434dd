"""Probes of boxes and pictures, of an engine that sees red rectangles."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Completion, Request, Token
from instruct_mner.engines.grammar_check import grammar_state
from instruct_mner.errors import ModelError
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import zero_shot
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.tagging import ray
from instruct_mner.tagging.probes import check_probes
from instruct_mner.tagging.tagger import Tagger

See = Callable[[tuple[float, float, float, float], tuple[int, int]], str]


def red(picture: Image.Image) -> tuple[float, float, float, float]:
    """The red rectangle of a picture, as fractions."""
    pixels = np.asarray(picture)
    ys, xs = np.nonzero((pixels[..., 0] > 150) & (pixels[..., 1] < 60))
    return (
        xs.min() / picture.width, ys.min() / picture.height, (xs.max() + 1) / picture.width,
        (ys.max() + 1) / picture.height,
    )  # fmt: skip


class Seeing:
    """An engine that writes a red rectangle by rule, and is as sure of a word as a picture is bright."""

    context_size = None

    def __init__(self, see: See, logprob: Callable[[Image.Image, int], float]) -> None:
        self.see, self.logprob = see, logprob
        self.num_requests = 0

    def special_tokens(self) -> tuple[str, ...]:
        return ()

    def count_tokens(self, text: str) -> int:
        return len(text)

    def count_image_tokens(self, sizes: Sequence[tuple[int, int]]) -> Sequence[int]:
        return [0] * len(sizes)

    def count_prompt(self, request: Request) -> int:
        return 1

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        return None

    def generate(self, requests: Sequence[Request], *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Request) -> Completion:
        self.num_requests += 1
        [picture] = request.images
        assert request.grammar is not None
        if "NUMBER" not in request.grammar:
            word = re.search(r'"([^"]*)" \|', request.grammar)
            assert word is not None
            return Completion(word[1], (Token(0, len(word[1]), self.logprob(picture, self.num_requests)),))
        strings = re.findall(r'"((?:[^"\\]|\\.)*)"', request.grammar.splitlines()[1])
        before, after = strings[0], strings[-1]
        text = before.replace('\\"', '"') + self.see(red(picture), picture.size) + after.replace('\\"', '"')
        assert grammar_state(request.grammar, text) == "whole", (request.grammar, text)
        return Completion(text)


def brightness(picture: Image.Image, number: int) -> float:
    return -1.0 - float(np.asarray(picture).mean()) / 1000


def tagger(
    see: See,
    logprob=brightness,
    *,
    form: str = "lines",
    grounded: bool = True,
    pictures: int = 1,
    convention: str = "relative",
) -> Tagger:
    manifest, _ = zero_shot("m")
    spec = AnswerSpec(format=form, labels=LabelSet.of(["PER", "LOC"]), grounded=grounded)
    changed = {"answer": spec, "tuning": "lora", "max_images": pictures, "box_convention": convention}
    manifest = Manifest.model_construct(**{**dict(manifest), **changed})
    return Tagger(Seeing(see, logprob), manifest, find_prompt("zero-shot"))


def thousandths(comma: str) -> See:
    return lambda box, size: comma.join(str(round(1000 * value)) for value in box)


def pixels(comma: str) -> See:
    def see(box: tuple[float, float, float, float], size: tuple[int, int]) -> str:
        return comma.join(str(round(value * side)) for value, side in zip(box, 2 * size, strict=True))

    return see


COMMAS = {"lines": ", ", "json": ","}


@pytest.mark.parametrize("form", COMMAS)
def test_right_boxes_pass_with_their_numbers(form: str) -> None:
    picture, boxes = check_probes(tagger(thousandths(COMMAS[form]), form=form), "mine")
    assert picture.startswith("pictures reach 'mine': another one changes the log-probability of its answer by 0.")
    assert re.fullmatch(r"boxes of 'mine': mean IoU (1.00|0.99) on 6 known rectangles, read as 0..1000 of .*", boxes)


@pytest.mark.parametrize("form", COMMAS)
def test_another_convention_is_refused_with_the_numbers(form: str) -> None:
    with pytest.raises(ModelError) as caught:
        check_probes(tagger(pixels(COMMAS[form]), form=form), "mine")
    message = str(caught.value)
    assert "boxes of 'mine' are in other units" in message
    assert re.search(r"(1.00|0.99) read as pixels of the picture as it was sent", message)
    assert "[36, 202, 152, 358] of a picture of 448 x 448 was written as [36, 202, 152, 358]" in message


@pytest.mark.parametrize(
    ("see", "message"),
    [
        (thousandths(", "), r"is 0\.00 read as pixels of the resized picture, and (1.00|0.99) read as 0\.\.1000"),
        (pixels(", "), "models of the family .* are not known to resize pictures"),
    ],
)
def test_pixels_of_a_size_that_nobody_tells_are_refused(see: See, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_probes(tagger(see, convention="absolute"), "mine")


def test_a_weak_adapter_passes() -> None:
    _, boxes = check_probes(tagger(lambda box, size: "100, 100, 300, 300"), "mine")
    assert "mean IoU 0." in boxes


@pytest.mark.parametrize("changes", [{"grounded": False}, {"pictures": 0}])
def test_what_is_not_there_is_not_probed(changes: dict) -> None:
    lines = check_probes(tagger(thousandths(", "), **changes), "mine")
    assert not any("boxes" in line for line in lines)
    assert bool(lines) == ("grounded" in changes)


def test_pictures_that_do_not_reach_the_model_are_refused() -> None:
    with pytest.raises(ModelError, match=r"pictures do not reach 'mine': three others .* at -1\.5"):
        check_probes(tagger(thousandths(", "), lambda picture, number: -1.5), "mine")


def test_changes_below_the_noise_are_a_warning() -> None:
    noisy, same = (-1.0, -1.1, -1.05, -1.0, -1.0), (0.0,) * 5
    [picture, _] = check_probes(tagger(thousandths(", "), lambda picture, number: noisy[number - 1]), "mine")
    assert picture.startswith("warning: pictures of 'mine': another one changes")
    [sure, _] = check_probes(tagger(thousandths(", "), lambda picture, number: same[number - 1]), "mine")
    assert sure.startswith("warning: pictures of 'mine': it is too sure")


def worker(see: See, monkeypatch: pytest.MonkeyPatch) -> ray._Worker:
    monkeypatch.setattr(Tagger, "of_settings", lambda settings, examples: tagger(see))
    monkeypatch.setattr(ray._Worker, "_tag", lambda self, number: iter(["a prediction"]))
    chosen: Any = SimpleNamespace(endpoint=None, load_examples=lambda: ())
    job: Any = SimpleNamespace(settings=chosen, labels=None)
    return ray._Worker(job)


def test_a_worker_of_ray_refuses_a_wrong_convention(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = worker(pixels(", "), monkeypatch)({"window": np.array([0])})
    assert answer["kind"] == ["ModelError"]
    assert "are in other units" in answer["line"][0]


def test_a_worker_of_ray_says_once_what_its_probes_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    probed = worker(thousandths(", "), monkeypatch)
    first, second = (probed({"window": np.array([number])}) for number in (0, 1))
    assert first["kind"] == ["note", "note", "prediction"]
    assert first["line"][0].startswith("pictures reach 'the model'")
    assert first["line"][1].startswith("boxes of 'the model': mean IoU")
    assert second == {"line": ["a prediction"], "kind": ["prediction"]}
