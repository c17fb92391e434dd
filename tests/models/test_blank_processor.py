"""Blank pictures that are processed once, against those that are processed each time."""

from __future__ import annotations

import pytest
import torch
from families import FAMILY_NAMES

from instruct_mner.models.blank_processor import blank_processor
from instruct_mner.models.description import describe_model
from instruct_mner.models.generated_pictures import blank_picture
from instruct_mner.training.sample import PromptCompletion
from instruct_mner.training.trl_arguments import prompt_completion_collator


def row(number: int) -> PromptCompletion:
    parts = [{"type": "image"}, {"type": "text", "text": "word " * number}]
    answer = [{"role": "assistant", "content": [{"type": "text", "text": "none"}]}]
    return {"prompt": [{"role": "user", "content": parts}], "completion": answer, "images": [blank_picture()]}


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_batches_are_the_same(family, tiny_models) -> None:
    processor = describe_model(str(tiny_models(family))).processor
    whole, once = prompt_completion_collator(processor), prompt_completion_collator(blank_processor(processor))
    for count in (1, 3, 2):
        rows = [row(number) for number in range(1, count + 1)]
        expected, made = whole(rows), once(rows)
        assert set(made) == set(expected)
        for name, value in expected.items():
            assert torch.equal(made[name], value), name


def test_a_blank_picture_is_processed_once(tiny_models, monkeypatch) -> None:
    processor = describe_model(str(tiny_models("idefics3"))).processor
    images = processor.image_processor
    preprocess = type(images).preprocess
    calls: list[int] = []

    def counted(self, images, *arguments, **named):
        calls.append(len(images))
        return preprocess(self, images, *arguments, **named)

    monkeypatch.setattr(type(images), "preprocess", counted)
    collate = prompt_completion_collator(blank_processor(processor))
    for _ in range(3):
        collate([row(1), row(2)])
    assert calls == [1]
    assert processor.image_processor is images
