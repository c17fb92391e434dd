"""A sample as it is trained on: the parts of its prompt, its answer, and its pictures."""

from __future__ import annotations

import pytest
from PIL import Image

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.prompting.conversation import answer_messages, user_messages
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example
from instruct_mner.training.sample import PromptCompletion, TrainingSample

LABELS = LabelSet.of(["PER"])


@pytest.mark.parametrize("sizes", [[], [(4, 3)], [(4, 3), (1, 9)]])
def test_text_answer_and_sizes_are_those_of_the_row(sizes: list[tuple[int, int]]) -> None:
    messages = user_messages(find_prompt("tag"), AnswerSpec(labels=LABELS), "Ann is here", len(sizes))
    row = PromptCompletion(
        prompt=messages,
        completion=answer_messages("PER: Ann"),
        images=[Image.new("RGB", size) for size in sizes],
    )
    sample = TrainingSample(example=Example(id="1", text="Ann is here"), labels=LABELS, row=row, key="0/0/1")
    assert sample.post_text.count("Ann is here") == 1
    assert "PER" not in sample.post_text  # types stand in the instruction, before the pictures
    assert sample.answer == "PER: Ann"
    assert sample.image_sizes == sizes
    assert sample.paths == ()


def test_copies_of_a_picture_have_one_hash_and_other_pictures_have_others() -> None:
    def hashed(*images: Image.Image) -> int:
        row = PromptCompletion(prompt=[], completion=[], images=list(images))
        return TrainingSample(example=Example(id="1", text="a"), labels=LABELS, row=row, key="0/0/1").picture_hash

    red, blue, wide = Image.new("RGB", (2, 3), "red"), Image.new("RGB", (2, 3), "blue"), Image.new("RGB", (3, 2), "red")
    assert hashed() == 0
    assert hashed(red) == hashed(red.copy())
    assert len({hashed(red), hashed(blue), hashed(wide), hashed(red, blue), hashed(blue, red)}) == 5
    assert all(0 < hashed(image) < 2**63 for image in (red, blue, wide))
