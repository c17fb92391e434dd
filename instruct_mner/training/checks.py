"""Refusal of posts that cannot be trained on, and of models that cannot learn to stop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import DataError, ModelError, listing
from instruct_mner.models.loading import LoadedModel
from instruct_mner.schema.records import Example


def check_trainable(examples: Sequence[Example], spec: AnswerSpec) -> None:
    """Refuse posts that cannot be trained on, all at once.

    Raises:
        DataError: Posts without annotation, with labels outside the label set, with more entities than an answer
            may hold, or with entities whose boxes are not annotated although boxes are asked for.
    """
    problems = []
    for example in examples:
        if example.entities is None:
            problems.append(f"post {example.id!r} is not annotated: it has no 'entities' ([]: there is none)")
            continue
        unknown = sorted({entity.label for entity in example.entities} - set(spec.labels.names))
        if unknown:
            problems.append(
                f"post {example.id!r} has label(s) outside the label set: {', '.join(unknown)}; add them to labels"
            )
        if len(example.entities) > spec.max_entities:
            problems.append(
                f"post {example.id!r} has {len(example.entities)} entities; raise answer.max_entities, which is "
                f"{spec.max_entities}"
            )
        if spec.grounded and example.images and any(entity.boxes is None for entity in example.entities):
            problems.append(
                f"post {example.id!r} has entities without 'boxes': annotate them ([]: not visible), or set "
                "answer.grounded: false"
            )
    if problems:
        raise DataError(f"{len(problems)} problem(s) in the training data:\n{listing(problems)}")


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
