"""Batch of answers that are written together, one token in each step; rows leave and join while it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig

from instruct_mner.engines import kv_cache
from instruct_mner.engines.partial_answers import PartialAnswer

# Inputs of a model with one value for each token of the text so far, beside ids and mask.
_OF_TOKENS = ("position_ids", "token_type_ids", "mm_token_type_ids")
# Arguments that ``generate`` of transformers hands to the way of decoding, not to the model.
_OF_GENERATE = ("logits_processor", "stopping_criteria", "generation_config")


@dataclass(kw_only=True)
class AnswerBatch:
    """Rows of a model's cache, each of which holds a prompt and the answer so far, without its last token.

    Attributes:
        model: Model of transformers, without a ``PeftModel`` around it.
        answers: Answer of each row.
        cache: Keys and values.
        mask: Attention mask, ``(batch, tokens)``.
        of_tokens: Values of the last token of each row, such as its position: ``(…, batch, 1)``.
        logits: Scores of the next token of each row, ``(batch, vocabulary)``, after a forward.
    """

    model: Any
    answers: list[PartialAnswer]
    cache: DynamicCache
    mask: Tensor
    of_tokens: dict[str, Tensor]
    logits: Tensor

    def __len__(self) -> int:
        return len(self.answers)

    @classmethod
    @torch.no_grad()
    def read(cls, model: Any, inputs: Any, answers: Sequence[PartialAnswer], pad_token_id: int) -> Self:
        """Read prompts.

        ``generate`` of transformers prepares the inputs as each family needs them; positions, above all.

        Args:
            model: Model of transformers, or a ``PeftModel`` around it.
            inputs: Output of the processor for the prompts.
            answers: Empty answers to them.
            pad_token_id: Id of padding.
        """
        cache = kv_cache.roomy_cache(model.config)
        read: list[Self] = []

        def first_forward(base: Any, input_ids: Tensor, **named: Any) -> Tensor:
            prepared = {name: value for name, value in named.items() if name not in _OF_GENERATE}
            outputs = base(
                **base.prepare_inputs_for_generation(input_ids, is_first_iteration=True, **prepared), return_dict=True
            )
            of_tokens = {name: named[name][..., -1:] for name in _OF_TOKENS if named.get(name) is not None}
            read.append(
                cls(
                    model=base,
                    answers=list(answers),
                    cache=cache,
                    mask=inputs["attention_mask"],
                    of_tokens=of_tokens,
                    logits=outputs.logits[:, -1].float(),
                )
            )
            # Not the batch: FSDP copies what comes back, with the answers in it.
            return input_ids

        config = GenerationConfig(max_new_tokens=1, do_sample=False, pad_token_id=pad_token_id, use_cache=True)
        model.generate(**inputs, past_key_values=cache, generation_config=config, custom_generate=first_forward)
        return read[0]

    @torch.no_grad()
    def step(self) -> None:
        """Read the last token of each answer."""
        tokens = torch.tensor([answer.tokens[-1:] for answer in self.answers], device=self.mask.device)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self), 1)], dim=1)
        if "position_ids" in self.of_tokens:
            self.of_tokens["position_ids"] = self.of_tokens["position_ids"] + 1
        inputs = self.model.prepare_inputs_for_generation(
            tokens,
            past_key_values=self.cache,
            attention_mask=self.mask,
            use_cache=True,
            **self.of_tokens,
        )
        self.logits = self.model(**inputs, return_dict=True).logits[:, -1].float()

    def drop_finished(self) -> list[PartialAnswer]:
        """Drop the rows of answers that are finished, and return these."""
        finished = [answer for answer in self.answers if answer.finished]
        if finished:
            kept = [row for row, answer in enumerate(self.answers) if not answer.finished]
            # Rows at the end take the places of those that leave, so that no others are copied.
            last = [row for row in kept if row >= len(kept)]
            self._keep([last.pop() if answer.finished else row for row, answer in enumerate(self.answers[: len(kept)])])
        return finished

    def _keep(self, rows: Sequence[int]) -> None:
        kv_cache.keep_rows(self.cache, rows, self.mask.device)
        self.answers = [self.answers[row] for row in rows]
        chosen = torch.tensor(rows, dtype=torch.long, device=self.mask.device)
        self.mask = self.mask[chosen]
        self.of_tokens = {name: values.index_select(-2, chosen) for name, values in self.of_tokens.items()}

    def repeated(self, times: int) -> AnswerBatch:
        """Return a batch in which each row of this one, whose answer is empty, begins so many answers.

        Args:
            times: Number of answers to each request; those to one request are neighbours.
        """
        rows = torch.arange(len(self), device=self.mask.device).repeat_interleave(times)
        kv_cache.repeat_rows(self.cache, times, len(self), self.mask.device)
        return AnswerBatch(
            model=self.model,
            answers=[answer.begun_again() for answer in self.answers for _ in range(times)],
            cache=self.cache,
            mask=self.mask[rows],
            of_tokens={name: values.index_select(-2, rows) for name, values in self.of_tokens.items()},
            logits=self.logits[rows],
        )

    @staticmethod
    def is_joinable(model: Any) -> bool:
        """Return whether the rows of another batch can be added to one of a model."""
        return kv_cache.is_joinable(kv_cache.roomy_cache(model.config))

    def join(self, other: AnswerBatch, *, num_rows: int) -> None:
        """Add the rows of another batch.

        Args:
            other: Batch of the same model.
            num_rows: Number of rows for which there should be room.
        """
        unused = self._num_unused(), other._num_unused()
        kv_cache.join_rows(self.cache, other.cache, num_rows=num_rows, unused=unused)
        masks = self.mask[:, unused[0] :], other.mask[:, unused[1] :]
        width = max(mask.shape[1] for mask in masks)
        self.mask = torch.cat([torch.nn.functional.pad(mask, (width - mask.shape[1], 0)) for mask in masks])
        self.of_tokens = {
            name: torch.cat([values, other.of_tokens[name]], dim=-2) for name, values in self.of_tokens.items()
        }
        self.answers += other.answers

    def _num_unused(self) -> int:
        """Return the number of tokens at the beginning that no row attends to."""
        return int(self.mask.any(dim=0).int().argmax())
