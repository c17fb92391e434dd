"""Probes of a model that is about to tag: whether its boxes are in the units of its manifest, and pictures reach it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from instruct_mner.answers import codec
from instruct_mner.answers.syntax import quoted
from instruct_mner.errors import ModelError
from instruct_mner.schema.records import Box, Entity, Example
from instruct_mner.tagging.box_conventions import BoxProbe, BoxVerdict, Fractions, Size, judge

if TYPE_CHECKING:
    from instruct_mner.engines.engine import Completion, Request
    from instruct_mner.tagging.question import Labels
    from instruct_mner.tagging.tagger import Tagger

_TEXT = "The red square"
_SIZES: tuple[Size, ...] = ((448, 448), (896, 448))
# Apart from each other, and from themselves with x and y exchanged: no constant box, and no other order, lies on them.
_RECTANGLES: tuple[Fractions, ...] = ((0.08, 0.45, 0.34, 0.80), (0.58, 0.08, 0.93, 0.36), (0.45, 0.62, 0.95, 0.90))
_BACKGROUND, _COLOUR = (225, 225, 225), (190, 20, 20)
_WORDS = ("none", "PER", "red", "blue", "1", "one", "yes", "no")
_NO_CHANGE = 1e-6


def check_probes(tagger: Tagger, name: str, labels: Labels | None = None) -> list[str]:
    """Probe a model, and return what was seen, a line each; nothing is asked of one that sees no pictures.

    Args:
        tagger: Tagger on the model.
        name: Name of the model, for messages.
        labels: Labels for a model that was not tuned.

    Raises:
        ModelError: Boxes are in other units than the manifest says, or pictures do not reach the model.
    """
    if not tagger.manifest.max_images or tagger.questions.generated:
        return []
    return [*_check_pictures(tagger, name, labels), *_check_boxes(tagger, name, labels)]


def draw(size: Size, rectangle: Fractions) -> Image.Image:
    """Return a picture with a red rectangle."""
    picture = Image.new("RGB", size, _BACKGROUND)
    x0, y0, x1, y1 = (round(value * side) for value, side in zip(rectangle, 2 * size, strict=True))
    ImageDraw.Draw(picture).rectangle((x0, y0, x1 - 1, y1 - 1), fill=_COLOUR)
    return picture


def _check_boxes(tagger: Tagger, name: str, labels: Labels | None) -> list[str]:
    if not tagger.manifest.answer.grounded:
        return []
    pairs = [(size, rectangle) for size in _SIZES for rectangle in _RECTANGLES]
    requests = [_box_request(tagger, draw(*pair), labels) for pair in pairs]
    asked_for = [request for request in requests if request is not None]
    if not asked_for:
        return []
    probes = [
        BoxProbe(size=size, truth=rectangle, numbers=numbers, resized=tagger.engine.resized(size))
        for (size, rectangle), completion in zip(pairs, tagger.engine.generate(asked_for), strict=True)
        if (numbers := _numbers(completion)) is not None
    ]
    if len(probes) < len(pairs):
        return [f"boxes of '{name}': {len(pairs) - len(probes)} of {len(pairs)} known rectangles have no box"]
    manifest = tagger.manifest
    verdict = judge(probes, manifest.box_convention, manifest.answer.box_range or 1000)
    if verdict.is_wrong:
        raise ModelError(_refusal(name, verdict, probes))
    if manifest.box_convention == "absolute" and any(probe.resized is None for probe in probes):
        raise ModelError(
            f"boxes of '{name}' cannot be read: its mner.json says pixels of the resized picture (box_convention: "
            f"absolute), and models of the family {manifest.family} are not known to resize pictures"
        )
    return [
        f"boxes of '{name}': mean IoU {verdict.iou:.2f} on {len(probes)} known rectangles, read as {verdict.declared}"
    ]


def _refusal(name: str, verdict: BoxVerdict, probes: Sequence[BoxProbe]) -> str:
    examples = "; ".join(
        f"{probe.pixels} of a picture of {probe.size[0]} x {probe.size[1]} was written as {list(probe.numbers)}"
        for probe in (probes[0], probes[-1])
    )
    return (
        f"boxes of '{name}' are in other units than its mner.json says: on {len(probes)} known rectangles their mean "
        f"IoU is {verdict.iou:.2f} read as {verdict.declared}, and {verdict.best_iou:.2f} read as {verdict.best} "
        f"({examples}); mend box_convention or the sizes of pictures (min_pixels, max_pixels) in mner.json"
    )


def _box_request(tagger: Tagger, picture: Image.Image, labels: Labels | None) -> Request | None:
    """Return a request whose answer is one entity with a box of any four numbers; ``None`` where no answer is so."""
    spec = tagger.answer_spec(labels)
    question = tagger.questions.question(Example(id="probe", text=_TEXT), (picture,), spec)
    label = spec.labels.names[0]
    entity = Entity(start=0, end=len(_TEXT), text=_TEXT, label=label, boxes=(Box(image=0, box=(1, 2, 3, 4)),))
    written = codec.render(spec, question.text, [entity], 1)
    match = re.search(r"\b1(,\s?)2(?:\1)3(?:\1)4\b", written)
    if match is None:
        return None
    before, comma, after = spec.prefix + written[: match.start()], quoted(match[1]), written[match.end() :]
    numbers = f" {comma} ".join(["NUMBER"] * 4)
    grammar = f"%llguidance {{}}\nstart: {quoted(before)} {numbers} {quoted(after)}\nNUMBER: /[0-9]{{1,5}}/\n"
    return replace(question.request, grammar=grammar, schema=None, rest=None, max_tokens=128)


def _numbers(completion: Completion) -> tuple[int, int, int, int] | None:
    match = re.search(r"(\d+),\s?(\d+),\s?(\d+),\s?(\d+)", completion.text)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]), int(match[4]))


def _check_pictures(tagger: Tagger, name: str, labels: Labels | None) -> list[str]:
    """Compare log-probabilities of an answer with one picture, the same again, and others of the same size."""
    size = _SIZES[0]
    pictures = [
        draw(size, _RECTANGLES[0]),
        draw(size, _RECTANGLES[0]),
        Image.new("RGB", size, "black"),
        Image.linear_gradient("L").resize(size).convert("RGB"),
        Image.effect_mandelbrot(size, (-2.0, -1.5, 1.0, 1.5), 50).convert("RGB"),
    ]
    requests = [_word_request(tagger, picture, labels) for picture in pictures]
    answers = [_measure(each) for each in tagger.engine.generate(requests)]
    if any(answer is None for answer in answers):
        return []  # a server that gives no log-probabilities
    (word, first), (again_word, again), *others = [each for each in answers if each is not None]
    if word != again_word:
        return [f"warning: pictures of '{name}': the same one again changes its answer"]
    noise = abs(first - again)
    if any(other_word != word for other_word, _ in others):
        return [f"pictures reach '{name}': another one changes its answer"]
    change = max(abs(first - other) for _, other in others)
    if change <= _NO_CHANGE:
        if abs(first) <= _NO_CHANGE:
            return [f"warning: pictures of '{name}': it is too sure of every answer to see whether they reach it"]
        raise ModelError(
            f"pictures do not reach '{name}': three others in the place of a picture leave the log-probability of its "
            f"answer at {first:.6f}; is its processor the one it was tuned with?"
        )
    if change <= noise:
        return [
            f"warning: pictures of '{name}': another one changes the log-probability of its answer by {change:.2g}, "
            f"the same one again by {noise:.2g}"
        ]
    return [f"pictures reach '{name}': another one changes the log-probability of its answer by {change:.2g}"]


def _word_request(tagger: Tagger, picture: Image.Image, labels: Labels | None) -> Request:
    example = Example(id="probe", text=_TEXT)
    spec = tagger.answer_spec(labels)
    question = tagger.questions.question(example, (picture,), spec)
    words = " | ".join(quoted(spec.prefix + word) for word in _WORDS)
    grammar = f"%llguidance {{}}\nstart: {words}\n"
    return replace(question.request, grammar=grammar, schema=None, rest=None, max_tokens=16)


def _measure(completion: Completion) -> tuple[str, float] | None:
    if not completion.tokens:
        return None
    return completion.text, sum(token.logprob for token in completion.tokens)
