"""The engine on plain transformers: batched ``generate``, constrained through llguidance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from llguidance.hf import from_tokenizer
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from instruct_mner.console import tracked
from instruct_mner.engines.constraint import GrammarLogitsProcessor
from instruct_mner.engines.engine import Completion, Request
from instruct_mner.engines.kv_cache import roomy_cache
from instruct_mner.engines.partial_answers import FewUnfinished, PartialAnswer, continued
from instruct_mner.engines.shared_prefix import padded_after_beginning
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.prefix_sharing import shared_beginning
from instruct_mner.models.processor_errors import named_processor_errors

# One in so many answers of a batch may be put off; each of them costs a second reading of its question.
_PUT_OFF = 8


class TransformersEngine:
    """Engine that answers requests with a model in this process.

    Args:
        loaded: Model with processor and family.
        batch_size: Number of requests answered at once.
    """

    def __init__(self, loaded: LoadedModel, batch_size: int = 8) -> None:
        self._loaded = loaded
        self._batch_size = batch_size

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

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Return width and height of a picture after the processor's resize, where boxes are written in them."""
        return self._loaded.resized(size)

    def generate(self, requests: Sequence[Request], *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        """Answer requests, in their order.

        Requests of like length share a batch, so that little is spent on padding. The few whose answers are much longer
        than those of their batch are put off, and finished together, so that no batch is held up by them.

        Raises:
            ModelError: A grammar is not accepted by llguidance.
        """
        answers = [PartialAnswer(request) for request in requests]
        was_training = self._loaded.model.training
        self._loaded.model.eval()
        # What is drawn here must not move the random numbers of a training that this interrupts.
        try:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                batches = self._batches(answers)
                for batch in tracked(batches, "answering", len(batches), "batches"):
                    self._write(batch, temperature, put_off=len(batch) // _PUT_OFF if len(batches) > 1 else 0)
                late = self._batches([answer for answer in answers if not answer.finished])
                for batch in tracked(late, "finishing long answers", len(late), "batches"):
                    self._write(batch, temperature, put_off=0)
        finally:
            self._loaded.model.train(was_training)
        return [self._completion(answer) for answer in answers]

    def _batches(self, answers: Sequence[PartialAnswer]) -> list[list[PartialAnswer]]:
        order = sorted(answers, key=PartialAnswer.length)
        return [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]

    def inputs(self, batch: Sequence[Request]) -> Any:
        """Return the output of the processor for requests: the ids that training would see, padded on the left."""
        processor = self._loaded.processor
        texts = [
            processor.apply_chat_template(request.messages, add_generation_prompt=True, tokenize=False)
            for request in batch
        ]
        images = [list(request.images) for request in batch]
        with named_processor_errors([image for each in images for image in each]):
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
        tokenizer = self._loaded.processor.tokenizer
        return from_tokenizer(tokenizer, n_vocab=self._vocabulary, eos_token=self._end_tokens)

    @property
    def _vocabulary(self) -> int:
        return int(self._loaded.model.get_input_embeddings().weight.shape[0])

    @property
    def _end_tokens(self) -> list[int]:
        return self._loaded.end_tokens

    def _write(self, batch: Sequence[PartialAnswer], temperature: float, *, put_off: int) -> None:
        """Continue answers, until at most ``put_off`` of them are unfinished."""
        model, tokenizer = self._loaded.model, self._loaded.processor.tokenizer
        inputs = continued(self.inputs([answer.request for answer in batch]), batch, tokenizer.pad_token_id)
        shared = 0
        if not self._loaded.family.recurrent:
            shared = padded_after_beginning(inputs, self._loaded.image_token_id, tokenizer.pad_token_id)
        inputs = inputs.to(model.device)
        constraint = GrammarLogitsProcessor(self._guide, batch, self._end_tokens)
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        # Every field that a model's own generation config may set otherwise is said here.
        config = GenerationConfig(
            **(sampling if temperature > 0 else {"do_sample": False}),
            max_new_tokens=max(answer.remaining for answer in batch),
            repetition_penalty=1.0,
            num_beams=1,
            eos_token_id=self._end_tokens,
            pad_token_id=tokenizer.pad_token_id,
            use_cache=True,
        )
        with torch.no_grad(), shared_beginning(self._loaded.decoder, shared):
            sequences = model.generate(
                **inputs,
                past_key_values=roomy_cache(model.config),
                generation_config=config,
                logits_processor=LogitsProcessorList([constraint]),
                stopping_criteria=StoppingCriteriaList([FewUnfinished(batch, self._end_tokens, put_off)]),
            )
        written = sequences[:, inputs["input_ids"].shape[1] :].tolist()
        steps = zip(batch, written, constraint.finish(sequences), constraint.failed, strict=True)
        for answer, tokens, logprobs, failed in steps:
            answer.write(tokens, logprobs, self._end_tokens)
            answer.failed = failed

    def _completion(self, answer: PartialAnswer) -> Completion:
        """Return text and pieces of one answer; a character of several tokens belongs to each of them."""
        special = set(self._loaded.processor.tokenizer.all_special_ids)
        pieces = [b"" if token in special else self._guide.decode_bytes([token]) for token in answer.tokens]
        return Completion.of(pieces, answer.logprobs, finished=answer.ended, failed=answer.failed)
