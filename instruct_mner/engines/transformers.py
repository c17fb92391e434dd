"""The engine on plain transformers: batched ``generate``, constrained through llguidance."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
from llguidance.hf import from_tokenizer

from instruct_mner.console import tracked
from instruct_mner.engines.answer_batch import AnswerBatch
from instruct_mner.engines.constraint import constrained, guide_of
from instruct_mner.engines.engine import NO_NUMBERS, NOT_PICKLED, Completion, Request, Sample
from instruct_mner.engines.grouped_attention import grouped_attention
from instruct_mner.engines.partial_answers import PartialAnswer
from instruct_mner.engines.shared_prefix import padded_after_beginning
from instruct_mner.errors import ModelError
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.modes import in_use
from instruct_mner.models.prefix_sharing import shared_beginning
from instruct_mner.models.processor_errors import named_processor_errors
from instruct_mner.models.turns import turn_at

# A batch is filled in so many parts; each has prompts of like length, and what it computes stays small. Parts of fewer
# prompts than these would read the beginning that they share too often.
_PARTS, _LEAST_PART = 4, 4


class TransformersEngine:
    """Engine that answers requests with a model in this process.

    Args:
        loaded: Model with processor and family.
        batch_size: Number of requests answered at once.
        shares_prefix: Whether the prefix of all prompts of a batch is computed once, in a forward of two parts.
    """

    def __init__(self, loaded: LoadedModel, batch_size: int = 8, *, shares_prefix: bool = True) -> None:
        self._loaded = loaded
        self._batch_size = batch_size
        self._shares_prefix = shares_prefix

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: models of some families cannot be once they have answered, for transformers' hooks."""
        raise TypeError(NOT_PICKLED)

    @property
    def loaded(self) -> LoadedModel:
        """Model that answers."""
        return self._loaded

    def special_tokens(self) -> tuple[str, ...]:
        """Return the strings that a post must not hold."""
        return self._loaded.special_tokens

    @property
    def context_size(self) -> int | None:
        """Number of tokens that prompt and answer may have together."""
        return self._loaded.context_size

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return self._loaded.count_tokens(text)

    def count_prompt(self, request: Request) -> int:
        """Return the number of tokens of a prompt, with its pictures."""
        return self._loaded.count_prompt(request.messages, request.images)

    def count_image_tokens(self, sizes: Sequence[tuple[int, int]]) -> Sequence[int]:
        """Return the number of tokens of pictures of some widths and heights; 0 where it is not known."""
        return self._loaded.count_image_tokens(sizes)

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Return width and height of a picture after the processor's resize, where boxes are written in them."""
        return self._loaded.resized(size)

    def generate(self, requests: Sequence[Request], *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        """Answer requests, in their order.

        Raises:
            ModelError: A grammar is not accepted by llguidance, or the probabilities of the model are NaN.
        """
        answers = [PartialAnswer(request=request) for request in requests]
        for _ in self._answered(answers, temperature, seed):
            pass
        return [self._completion(answer) for answer in answers]

    def sample(
        self, requests: Sequence[Request], num_answers: int, *, temperature: float = 1.0, seed: int = 0
    ) -> list[list[Sample]]:
        """Draw several answers to each request, whose prompt is read once.

        Args:
            requests: Requests; each is an object of its own.
            num_answers: Number of answers to each.
            temperature: Temperature at which tokens are drawn.
            seed: Seed of the random numbers.

        Raises:
            ModelError: A grammar is not accepted by llguidance, or the probabilities of the model are NaN.
        """
        drawn: dict[int, list[Sample]] = {id(request): [] for request in requests}
        prompts = [PartialAnswer(request=request) for request in requests]
        for answer in self._answered(prompts, temperature, seed, num_answers):
            ends = () if answer.end_token is None else (answer.end_token,)
            sample = Sample(
                completion=self._completion(answer),
                tokens=(*answer.tokens, *ends),
                allowed=np.stack(answer.guide.kept) if answer.guide is not None and answer.guide.kept else None,
            )
            drawn[id(answer.request)].append(sample)
        return [drawn[id(request)] for request in requests]

    def _answered(
        self, answers: Sequence[PartialAnswer], temperature: float, seed: int, times: int | None = None
    ) -> Iterator[PartialAnswer]:
        """Write answers, and show how many are finished."""
        # What is drawn here must not move the random numbers of a training that this interrupts.
        with in_use(self._loaded.model), grouped_attention(self._loaded.decoder), torch.random.fork_rng():
            torch.manual_seed(seed)
            written = self._written(answers, temperature, times)
            yield from tracked(written, "answering", (times or 1) * len(answers), "answers")

    def _written(
        self, answers: Sequence[PartialAnswer], temperature: float, times: int | None = None
    ) -> Iterator[PartialAnswer]:
        """Write answers, so many to each request, and yield each when it is finished.

        Answers that are finished leave the batch, and others take their places. Prompts of like length are read
        together, so that little is spent on padding.
        """
        yield from (each for each in answers if each.finished)
        waiting = deque(sorted((each for each in answers if not each.finished), key=PartialAnswer.length))
        rows = times or 1
        joinable = AnswerBatch.is_joinable(self._loaded.model)
        # Where no others could join a batch, all of it is read at once.
        read_together = max(-(-self._batch_size // _PARTS), min(self._batch_size, _LEAST_PART))
        part = max(1, (read_together if joinable else self._batch_size) // rows)
        batch: AnswerBatch | None = None
        while waiting or batch:
            has_room = joinable and part * rows <= self._batch_size - len(batch or ())
            if batch and not (waiting and has_room):
                batch.step()
                self._write(batch, temperature)
                yield from batch.drop_finished()
                continue
            begun = self._read([waiting.popleft() for _ in range(min(part, len(waiting)))])
            begun = begun if times is None else begun.repeated(times)
            self._write(begun, temperature)
            yield from begun.drop_finished()
            if batch and begun:
                batch.join(begun, num_rows=self._batch_size)
            else:
                batch = batch or begun

    def inputs(self, batch: Sequence[Request]) -> Any:
        """Return the output of the processor for requests: the ids that training would see, padded on the left."""
        processor = self._loaded.processor
        texts = [
            processor.apply_chat_template(request.messages, add_generation_prompt=True, tokenize=False)
            for request in batch
        ]
        images = [list(request.images) for request in batch]
        with turn_at(processor.tokenizer), named_processor_errors([image for each in images for image in each]):
            return processor(
                text=texts,
                images=images if any(images) else None,
                padding=True,
                padding_side="left",
                return_tensors="pt",
                add_special_tokens=False,
            )

    @cached_property
    def grammar_tokenizer(self) -> Any:
        """Tokenizer of llguidance."""
        tokenizer = self._loaded.processor.tokenizer
        return from_tokenizer(tokenizer, n_vocab=self._vocabulary, eos_token=self._end_tokens)

    @property
    def _vocabulary(self) -> int:
        return self._loaded.vocabulary_size

    @property
    def _end_tokens(self) -> list[int]:
        return self._loaded.end_tokens

    def _read(self, answers: Sequence[PartialAnswer]) -> AnswerBatch:
        """Return the batch of answers that begin, after a forward of their prompts."""
        loaded, pad = self._loaded, self._loaded.processor.tokenizer.pad_token_id
        for answer in answers:
            answer.guide = guide_of(self.grammar_tokenizer, answer.request)
        inputs = self.inputs([answer.request for answer in answers])
        shares = self._shares_prefix and not loaded.family.recurrent
        shared = padded_after_beginning(inputs, loaded.image_token_id, pad) if shares else 0
        with shared_beginning(loaded.decoder, shared):
            return AnswerBatch.read(loaded.model, inputs.to(loaded.model.device), answers, pad)

    def _write(self, batch: AnswerBatch, temperature: float) -> None:
        """Write a token more of each answer, and the log-probabilities that the grammars leave.

        vLLM gives these log-probabilities too. Those of forbidden tokens would say nothing of an answer that cannot
        hold them.
        """
        scores = constrained(batch.logits, [answer.guide for answer in batch.answers], self._end_tokens)
        total = scores.logsumexp(dim=-1, keepdim=True)
        if total.isnan().any():
            raise ModelError(NO_NUMBERS)
        if temperature > 0:
            tokens = torch.multinomial(torch.softmax(scores / temperature, dim=-1), num_samples=1)
        else:
            tokens = scores.argmax(dim=-1, keepdim=True)
        logprobs = scores.gather(1, tokens) - total
        for answer, token, logprob in zip(batch.answers, tokens[:, 0].tolist(), logprobs[:, 0].tolist(), strict=True):
            answer.write(token, logprob, self._end_tokens)

    def _completion(self, answer: PartialAnswer) -> Completion:
        """Return text and pieces of one answer; a character of several tokens belongs to each of them."""
        special = set(self._loaded.processor.tokenizer.all_special_ids)
        pieces = [b"" if token in special else self.grammar_tokenizer.decode_bytes([token]) for token in answer.tokens]
        return Completion.of(pieces, answer.logprobs, finished=answer.ended, failed=answer.failed)
