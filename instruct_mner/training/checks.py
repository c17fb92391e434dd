"""Refusal of posts that do not fit into a model, and of models that cannot learn to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from instruct_mner.errors import DataError, ModelError, listing
from instruct_mner.models.loading import LoadedModel
from instruct_mner.prompting.conversation import answer_text
from instruct_mner.schema.records import Example
from instruct_mner.training.conversation import Conversations

# Lengths are those of parts, whose tokens may join, and of pictures without the signs around each.
_NEAR = 64


def check_lengths(
    examples: Sequence[Example],
    lengths: Sequence[int],
    picture_paths: Callable[[Example], Sequence[Path]],
    conversations: Conversations,
    context_size: int | None,
) -> None:
    """Refuse posts that do not fit into the model's context with prompt, pictures and answer.

    Args:
        examples: Posts to train on.
        lengths: Lengths of the posts, by :func:`~instruct_mner.training.lengths.token_lengths`.
        picture_paths: Function that gives the files of a post's pictures.
        conversations: Writer of the prompts and gold answers.
        context_size: Number of tokens that prompt and answer may have together; ``None`` where there is no limit.

    Raises:
        DataError: There are such posts; the message names them, with their numbers of tokens.
    """
    if context_size is None:
        return

    def whole(number: int) -> int:
        row = conversations.row(examples[number], picture_paths(examples[number]))
        description = conversations.description
        num_tokens = description.count_prompt(row["prompt"], row["images"])
        return num_tokens + description.count_tokens(answer_text(row["completion"]))

    # With pictures if there are any: not every processor says how many tokens they have.
    one = max(range(len(examples)), key=lambda number: (bool(picture_paths(examples[number])), -lengths[number]))
    most = context_size - (whole(one) - lengths[one]) - _NEAR
    counted = {number: whole(number) for number, length in enumerate(lengths) if length > most}
    problems = [
        f"post {examples[number].id!r} has {num_tokens} tokens with its prompt, pictures and answer"
        for number, num_tokens in counted.items()
        if num_tokens > context_size
    ]
    if problems:
        raise DataError(
            f"{len(problems)} post(s) do not fit into the {context_size} tokens of the model's context; cut them into "
            "shorter posts, at the ends of sentences, or shorten what stands around them (definitions of the labels, "
            f"captions and OCR, pictures):\n{listing(problems)}"
        )


# An untrained row is the mean of all rows, up to noise of a thousandth; the least of SmolLM2's trained ones is at 0.7
# of the usual distance.
_UNTRAINED = 0.1
_SAMPLED_ROWS = 4096


def check_end_of_answers(loaded: LoadedModel) -> None:
    """Refuse a model whose answers end with a token that was never trained: no adapter learns to stop there.

    A token that was added to a vocabulary has the mean of all rows as its own, or nothing but zeros; a LoRA of the
    decoder leaves it so.

    Raises:
        ModelError: The template ends answers with no token that ends generation, or with an untrained one.
    """
    ends = loaded.end_tokens
    tokenizer = loaded.tokenizer
    after = tokenizer(loaded.answer_suffix, add_special_tokens=False)["input_ids"]
    token = next((each for each in after if each in ends), None)
    if token is None:
        raise ModelError(
            f"model {loaded.name}: its chat template ends answers with {tokenizer.decode(after)!r}, which does not end "
            f"generation (that is {', '.join(map(repr, tokenizer.convert_ids_to_tokens(ends)))}); correct "
            "eos_token_id in its generation_config.json, or its chat template"
        )
    if _is_untrained(loaded.model.get_output_embeddings().weight, token):
        raise ModelError(
            f"model {loaded.name}: its chat template ends answers with {tokenizer.convert_ids_to_tokens(token)!r}, "
            "whose embedding was never trained, so that an adapter would not learn to stop; take the instruct version "
            "of the model, a chat template that ends turns with a token that it knows, or tuning: full"
        )


def _is_untrained(weight: Tensor, token: int) -> bool:
    mean = weight.mean(dim=0, dtype=torch.float32)
    sample = weight[:: max(1, len(weight) // _SAMPLED_ROWS)].float()
    row = weight[token].float()
    apart = (row - mean).norm() / (sample - mean).norm(dim=1).median()
    size = row.norm() / sample.norm(dim=1).median()
    return bool(torch.minimum(apart, size) < _UNTRAINED)
