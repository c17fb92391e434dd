"""Places of texts and pictures in tokens, with a byte-level tokenizer and a picture in the middle of the prompt."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import torch

from instruct_mner.errors import ModelError
from instruct_mner.models.image_token_boxes import cells, qwen_boxes
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.prompt_tokens import PromptTokens
from instruct_mner.testing.tokenizer import Vocabulary, train_tokenizer

WORDS = Vocabulary(special_tokens=("<pad>", "<end>", "<image>"), end_of_turn="<end>", chat_template="")
TOKENIZER = train_tokenizer(WORDS, ["Jordan in Chicago"] * 4, 300)
IMAGE = TOKENIZER.convert_tokens_to_ids("<image>")


@pytest.fixture(scope="module")
def tokens() -> PromptTokens:
    family = SimpleNamespace(token_boxes=qwen_boxes)
    processor = SimpleNamespace(image_processor=SimpleNamespace(merge_size=2))
    loaded = SimpleNamespace(
        tokenizer=TOKENIZER, vocabulary_size=len(TOKENIZER), image_token_id=IMAGE, family=family, processor=processor
    )
    return PromptTokens(cast("LoadedModel", loaded))


def ids_of(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


def test_a_text_is_found_where_it_stands_last(tokens: PromptTokens) -> None:
    ids = ids_of("Jordan<image><image>: Jordan in Chicago<end>")
    place = tokens.find(ids, range(len(ids)), "Jordan in Chicago")
    assert place is not None
    for start, end in ((0, 6), (10, 17), (0, 17)):
        span = place.tokens(start, end)
        assert span is not None
        written = TOKENIZER.decode(ids[span[0] : span[1] + 1])
        assert written.strip() == "Jordan in Chicago"[start:end]


def test_image_tokens_inside_of_a_text_are_passed_over(tokens: PromptTokens) -> None:
    ids = [*ids_of("in Chi"), IMAGE, IMAGE, *ids_of("cago")]
    place = tokens.find(ids, range(len(ids)), "Chicago")
    assert place is not None
    first, last = place.tokens(0, 7) or (0, 0)
    assert (ids[first:last].count(IMAGE), last) == (2, len(ids) - 1)


def test_only_the_positions_that_are_named_are_looked_at(tokens: PromptTokens) -> None:
    ids = ids_of("Jordan<end>Chicago")
    assert tokens.find(ids, range(ids.index(TOKENIZER.eos_token_id)), "Chicago") is None
    assert tokens.find(ids, range(len(ids)), "Lagos") is None


def test_boxes_are_those_of_the_pictures_of_one_post(tokens: PromptTokens) -> None:
    # Three pictures of the batch: of 1 x 1, 2 x 1 and 1 x 3 tokens of 2 x 2 patches.
    inputs = {"image_grid_thw": torch.tensor([[1, 2, 2], [1, 4, 2], [1, 2, 6]]), "pixel_values": torch.zeros(20, 1)}
    ids = [50, *[IMAGE] * 2, 51, *[IMAGE] * 3]
    boxes = tokens.image_boxes(ids, [(10, 20), (30, 10)], inputs, first_picture=1)
    assert [each.tolist() for each in boxes] == [cells(2, 1).tolist(), cells(1, 3).tolist()]
    with pytest.raises(ModelError, match="names 3 cells, the text has 5 image tokens"):
        tokens.image_boxes(ids, [(10, 10), (10, 20)], inputs)
