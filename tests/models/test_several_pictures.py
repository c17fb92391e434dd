"""Posts with several pictures, and boxes there and back, on every family."""

from __future__ import annotations

import pytest
from families import FAMILY_NAMES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.families import token_boxes
from instruct_mner.models.loading import load_model
from instruct_mner.prompting.conversation import user_messages
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.boxes import to_model_units, to_pixels
from instruct_mner.schema.labels import LabelSet

SIZES = [(120, 80), (70, 150)]


@pytest.fixture(scope="module", params=FAMILY_NAMES)
def loaded(request, tiny_models):
    return load_model(str(tiny_models(request.param)))


def test_two_pictures_are_laid_out_and_answered(loaded) -> None:
    spec = AnswerSpec(
        labels=LabelSet.of(["PER", "LOC"]),
        grounded=True,
        prefix=loaded.answer_prefix,
        box_range=loaded.family.box_convention.answer_range,
    )
    text = "Ann in Paris"
    images = tuple(Image.new("RGB", size, colour) for size, colour in zip(SIZES, ("red", "blue"), strict=True))
    here = spec.for_pictures([loaded.resized(size) for size in SIZES])
    messages = user_messages(find_prompt("tag-grounded"), spec, text, 2, several_pictures=True)
    request = Request(messages, images, codec.grammar(here, text, 2), max_tokens=120)
    engine = TransformersEngine(loaded)
    inputs = engine.inputs([request])
    boxes = token_boxes(
        loaded.family, loaded.processor, loaded.image_token_id, inputs["input_ids"][0].tolist(), SIZES, inputs
    )
    assert len(boxes) == 2
    for completion in engine.generate([request] * 8, temperature=1.5, seed=1):
        answer = codec.parse(here, text, completion.text, 2, finished=completion.finished)
        assert answer.rejected.hallucinated == 0
        assert answer.rejected.malformed == (0 if completion.finished else 1)
        for entity in answer.entities:
            assert entity.box is None or entity.box.image in {0, 1}


@settings(max_examples=30)
@given(data=st.data())
def test_boxes_come_back_within_a_unit(loaded, data) -> None:
    width, height = data.draw(st.integers(20, 900)), data.draw(st.integers(20, 900))
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = (x0, y0, data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height)))
    convention, resized = loaded.family.box_convention, loaded.resized((width, height))
    units = to_model_units(box, (width, height), convention, resized=resized)
    back = to_pixels(units, (width, height), convention, resized=resized)
    extent = resized or (convention.range, convention.range)
    for index, (here, there) in enumerate(zip(box, back, strict=True)):
        size, largest = ((width, height)[index % 2], extent[index % 2])
        # Half a unit of rounding each way; a box thinner than a unit is widened to one.
        assert abs(here - there) <= max(1.0, size / largest) * 1.5
