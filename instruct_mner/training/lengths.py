"""Lengths of posts in tokens, by which those of similar length share a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from instruct_mner.errors import DataError
from instruct_mner.images import image_size
from instruct_mner.prompting.conversation import answer_text, post_text
from instruct_mner.schema.records import Example
from instruct_mner.training.conversation import Conversations


def token_lengths(
    examples: Sequence[Example], picture_paths: Callable[[Example], Sequence[Path]], conversations: Conversations
) -> list[int]:
    """Return the number of tokens of each post with its prompt, pictures and answer.

    The instruction and the chat template's own tokens, which are the same for all, are left out.

    Args:
        examples: Posts to train on.
        picture_paths: Function that gives the files of a post's pictures.
        conversations: Writer of the prompts and gold answers.
    """
    description = conversations.description
    sizes = [_sizes(picture_paths(example)[: conversations.max_images]) for example in examples]
    texts = []
    for example, shown in zip(examples, sizes, strict=True):
        messages, answer = conversations.written(example, shown)
        texts.append(post_text(messages) + answer_text(answer))
    counts = description.count_image_tokens([size for shown in sizes for size in shown])
    lengths = [len(ids) for ids in description.tokenizer(texts, add_special_tokens=False)["input_ids"]]
    each = iter(counts)
    return [length + sum(islice(each, len(shown))) for length, shown in zip(lengths, sizes, strict=True)]


def _sizes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Return width and height of pictures; one that cannot be read has no place in a batch either."""
    sizes = []
    for path in paths:
        try:
            sizes.append(image_size(path))
        except DataError:
            continue
    return sizes
