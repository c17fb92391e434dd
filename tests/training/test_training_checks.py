from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import DataError
from instruct_mner.models.loading import load_model
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import Label, LabelSet
from instruct_mner.schema.records import Context, Entity, Example
from instruct_mner.training.checks import check_lengths
from instruct_mner.training.conversation import Conversations
from instruct_mner.training.lengths import token_lengths


def annotated(number: int, num_words: int) -> Example:
    text = " ".join(["Ann", *(f"word{place}" for place in range(num_words - 1))])
    return Example(id=str(number), text=text, entities=(Entity(start=0, end=3, text="Ann", label="PER"),))


@pytest.fixture
def conversations(tiny_models) -> Conversations:
    loaded = load_model(str(tiny_models("idefics3")))
    spec = AnswerSpec(labels=LabelSet.of(["PER"]), prefix=loaded.answer_prefix)
    return Conversations(prompt=find_prompt("tag"), spec=spec, description=loaded, max_images=1)


def no_pictures(example: Example) -> tuple[Path, ...]:
    return ()


def check(
    posts: Sequence[Example],
    conversations: Conversations,
    size: int | None,
    pictures: Callable[[Example], Sequence[Path]] = no_pictures,
) -> None:
    check_lengths(posts, token_lengths(posts, pictures, conversations), pictures, conversations, size)


def test_posts_that_do_not_fit_are_refused_with_their_numbers_of_tokens(conversations: Conversations) -> None:
    posts = [annotated(1, 20), annotated(2, 1500), annotated(3, 300), annotated(4, 900)]
    with pytest.raises(DataError) as caught:
        check(posts, conversations, 2048)
    message = str(caught.value)
    assert message.startswith("2 post(s) do not fit into the 2048 tokens of the model's context")
    sizes = {name: int(size) for name, size in re.findall(r"post '(\d)' has (\d+) tokens", message)}
    assert set(sizes) == {"2", "4"}
    for name, size in sizes.items():
        row = conversations.row(posts[int(name) - 1], ())
        processor = conversations.description.processor
        whole = processor.apply_chat_template([*row["prompt"], *row["completion"]], tokenize=False)
        own = len(processor.tokenizer(whole, add_special_tokens=False)["input_ids"])
        assert abs(own - size) <= 8


def test_a_post_that_just_fits_is_trained_on(conversations: Conversations) -> None:
    post = annotated(1, 400)
    with pytest.raises(DataError) as caught:
        check([post], conversations, 500)
    [size] = map(int, re.findall(r"has (\d+) tokens", str(caught.value)))
    check([post], conversations, size)
    with pytest.raises(DataError):
        check([post], conversations, size - 1)
    check([post], conversations, None)


def test_what_stands_around_a_post_counts(conversations: Conversations, tmp_path: Path) -> None:
    """Short posts do not fit for long definitions, for the text in their pictures, or for the pictures."""
    posts = [annotated(1, 5), annotated(2, 6)]
    check(posts, conversations, 400)
    defined = LabelSet(labels=(Label(name="PER", definition="a person " * 400),))
    with pytest.raises(DataError, match=r"2 post.*do not fit.*definitions of the labels"):
        check(posts, replace(conversations, spec=conversations.spec.with_labels(defined)), 400)
    shown = replace(conversations, context=True)
    told = [posts[0], posts[1].model_copy(update={"context": Context(ocr="SALE now " * 300)})]
    check(told, conversations, 400)
    with pytest.raises(DataError, match=r"1 post(.|\n)*post '2'"):
        check(told, shown, 400)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    pictured = [each.model_copy(update={"images": ("a.png",)}) for each in posts]
    [tokens] = conversations.description.count_image_tokens([(64, 64)])
    most = max(token_lengths(posts, no_pictures, conversations))
    whole = conversations.description.count_prompt(conversations.row(posts[1], ())["prompt"], ())
    check(posts, conversations, whole + most)
    with pytest.raises(DataError, match="do not fit"):
        check(pictured, conversations, whole + tokens // 2, lambda example: [tmp_path / "a.png"])
