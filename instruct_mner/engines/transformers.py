"""The engine on plain transformers: batched ``generate``, constrained through llguidance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from instruct_mner.engines import Completion, Request
from instruct_mner.engines.cache import roomy_cache
from instruct_mner.errors import ModelError
from instruct_mner.models.loading import LoadedModel

if TYPE_CHECKING:
    from torch import Tensor


class TransformersEngine:
    """Answers requests with a model in this process.

    Args:
        loaded: Model, processor and family.
        batch_size: Requests answered at once.
    """

    def __init__(self, loaded: LoadedModel, batch_size: int = 8) -> None:
        self._loaded = loaded
        self._batch_size = batch_size

    @property
    def loaded(self) -> LoadedModel:
        """What answers."""
        return self._loaded

    def special_tokens(self) -> tuple[str, ...]:
        """Strings that a post must not hold."""
        return self._loaded.special_tokens

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self._loaded.processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Width and height of a picture after the processor's resize, where boxes are written in them."""
        return self._loaded.resized(size)

    def generate(self, requests: Sequence[Request], *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        """Answers requests, in their order.

        Requests of like length share a batch, so that little is spent on padding.

        Raises:
            ModelError: A grammar is not accepted by llguidance.
        """
        import torch

        order = sorted(range(len(requests)), key=lambda index: self._length(requests[index]))
        answers: dict[int, Completion] = {}
        was_training = self._loaded.model.training
        self._loaded.model.eval()
        # What is drawn here must not move the random numbers of a training that this interrupts.
        try:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                for start in range(0, len(order), self._batch_size):
                    indices = order[start : start + self._batch_size]
                    batch = [requests[index] for index in indices]
                    answers.update(zip(indices, self._generate_batch(batch, temperature), strict=True))
        finally:
            self._loaded.model.train(was_training)
        return [answers[index] for index in range(len(requests))]

    def _length(self, request: Request) -> tuple[int, int]:
        parts = [part["text"] for message in request.messages for part in message["content"] if "text" in part]
        return len(request.images), sum(map(len, parts))

    def inputs(self, batch: Sequence[Request]) -> Any:
        """What the processor makes of requests: the ids that training would see, padded on the left."""
        processor = self._loaded.processor
        texts = [
            processor.apply_chat_template(request.messages, add_generation_prompt=True, tokenize=False)
            for request in batch
        ]
        images = [list(request.images) for request in batch]
        return processor(
            text=texts,
            images=images if any(images) else None,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=False,
        )

    @cached_property
    def _guide(self) -> Any:
        from llguidance.hf import from_tokenizer

        tokenizer = self._loaded.processor.tokenizer
        return from_tokenizer(tokenizer, n_vocab=self._vocabulary, eos_token=self._end_tokens)

    @property
    def _vocabulary(self) -> int:
        return int(self._loaded.model.get_input_embeddings().weight.shape[0])

    @property
    def _end_tokens(self) -> list[int]:
        ends = self._loaded.model.generation_config.eos_token_id
        listed = [ends] if isinstance(ends, int) else list(ends or [])
        return list(dict.fromkeys([self._loaded.processor.tokenizer.eos_token_id, *listed]))

    def _generate_batch(self, batch: Sequence[Request], temperature: float) -> list[Completion]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        model = self._loaded.model
        inputs = self.inputs(batch).to(model.device)
        guided = _Guided(self._guide, [request.grammar for request in batch], self._end_tokens)
        limit = max(request.max_tokens for request in batch)
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        # Every field that a model's own generation config may set otherwise is said here.
        config = GenerationConfig(
            **(sampling if temperature > 0 else {"do_sample": False}),
            max_new_tokens=limit,
            repetition_penalty=1.0,
            num_beams=1,
            eos_token_id=self._end_tokens,
            pad_token_id=self._loaded.processor.tokenizer.pad_token_id,
            use_cache=True,
        )
        with torch.no_grad():
            sequences = model.generate(
                **inputs,
                past_key_values=roomy_cache(model.config),
                generation_config=config,
                logits_processor=LogitsProcessorList([guided]),
            )
        written = sequences[:, inputs["input_ids"].shape[1] :]
        logprobs = guided.finish(sequences)
        return [
            self._completion(ids, row, request.max_tokens)
            for ids, row, request in zip(written.tolist(), logprobs, batch, strict=True)
        ]

    def _completion(self, ids: list[int], logprobs: list[float], max_tokens: int) -> Completion:
        """Text and pieces of one answer; a character of several tokens belongs to each of them."""
        ends = [index for index, token in enumerate(ids) if token in self._end_tokens]
        length = min(ends[0] if ends else len(ids), max_tokens)
        finished = bool(ends) and ends[0] <= max_tokens
        special = set(self._loaded.processor.tokenizer.all_special_ids)
        pieces = [b"" if token in special else self._guide.decode_bytes([token]) for token in ids[:length]]
        return Completion.of(pieces, logprobs[:length], finished=finished)


class _Guided:
    """A logits processor that forbids what the grammar forbids, and notes log-probabilities of what is left.

    These are what vLLM gives too; what forbidden tokens would have had says nothing of an answer that cannot hold them.
    """

    def __init__(self, guide: Any, grammars: Sequence[str | None], end_tokens: list[int]) -> None:
        from llguidance import LLMatcher

        self._end_tokens = end_tokens

        self._matchers = [None if grammar is None else LLMatcher(guide, grammar) for grammar in grammars]
        for matcher in self._matchers:
            if matcher is not None and matcher.is_error():
                raise ModelError(f"the answer grammar is not accepted: {matcher.get_error()}")
        self._before: Tensor | None = None
        self._logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        import torch

        if self._before is not None:
            self._note(input_ids)
        if any(matcher is not None for matcher in self._matchers):
            scores = scores.masked_fill(~self._allowed(scores), float("-inf"))
        self._before = torch.log_softmax(scores.float(), dim=-1)
        return scores

    def _note(self, sequences: Tensor) -> None:
        assert self._before is not None
        last = sequences[:, -1]
        self._logprobs.append(self._before.gather(1, last[:, None])[:, 0])
        for matcher, token in zip(self._matchers, last.tolist(), strict=True):
            if matcher is not None and not matcher.is_stopped():
                matcher.consume_token(token)

    def _allowed(self, scores: Tensor) -> Tensor:
        import numpy as np
        import torch

        rows = []
        for matcher in self._matchers:
            row = np.full(scores.shape[-1], matcher is None)
            if matcher is not None and matcher.is_stopped():
                # Nothing may follow a complete answer, so the matcher has stopped by itself: the turn ends.
                row[self._end_tokens] = True
            elif matcher is not None:
                bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
                allowed = np.unpackbits(bits, bitorder="little")[: len(row)]
                row[: len(allowed)] = allowed
            rows.append(row)
        return torch.from_numpy(np.stack(rows)).to(scores.device)

    def finish(self, sequences: Tensor) -> list[list[float]]:
        """The log-probability of every token written, ``(batch, steps)``."""
        import torch

        self._note(sequences)
        return torch.stack(self._logprobs, dim=1).tolist()
