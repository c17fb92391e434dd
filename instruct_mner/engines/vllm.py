"""The engine on vLLM in this process: for large files, without a server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from llguidance.hf import from_tokenizer

from instruct_mner.engines.engine import NOT_PICKLED, Completion, Request, Sample
from instruct_mner.engines.grammar_check import answer_state
from instruct_mner.errors import ConfigError, ServingError
from instruct_mner.models.tuned import tuned_folder
from instruct_mner.vllm_runtime.command import engine_arguments, has_gpu, seeds_are_fatal, vllm_environment
from instruct_mner.vllm_runtime.plan import Plan, make_plan

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams
    from vllm.lora.request import LoRARequest
    from vllm.outputs import CompletionOutput


class VllmEngine:
    """Engine that answers requests with vLLM, set up as by ``serve``.

    Args:
        plan: Plan of one adapter on its base, or of a whole model.
        flags: Flags of vLLM itself, as ``--max-model-len=4096``.

    Raises:
        ConfigError: vLLM is not installed.
        ServingError: vLLM does not start.
    """

    def __init__(self, plan: Plan, flags: Sequence[str] = ()) -> None:
        self._plan = plan
        self._description = plan.models[0].description
        self._llm = _start(engine_arguments(plan, flags))
        self._folder = plan.models[0].folder
        self._number = 1

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: vLLM is processes of its own."""
        raise TypeError(NOT_PICKLED)

    @classmethod
    def plan(cls, name: str | Path, base_model: str | None = None, dtype: str = "auto") -> Plan:
        """Return the plan of an adapter, a fully tuned model, or a base model (hub name or folder).

        Raises:
            MnerError: vLLM cannot run it.
        """
        folder = tuned_folder(name)
        if folder is None:
            return make_plan((), str(name), dtype)
        return make_plan((f"tuned={folder}",), base_model, dtype)

    def special_tokens(self) -> tuple[str, ...]:
        """Return the strings that a post must not hold."""
        return self._description.special_tokens

    @property
    def context_size(self) -> int | None:
        """Number of tokens that prompt and answer may have together."""
        return int(self._llm.llm_engine.model_config.max_model_len)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return self._description.count_tokens(text)

    def count_prompt(self, request: Request) -> int:
        """Return the number of tokens of a prompt, with its pictures."""
        return self._description.count_prompt(request.messages, request.images)

    def count_image_tokens(self, sizes: Sequence[tuple[int, int]]) -> Sequence[int]:
        """Return the number of tokens of pictures of some widths and heights; 0 where it is not known."""
        return self._description.count_image_tokens(sizes)

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Return width and height of a picture after the processor's resize, where boxes are written in them."""
        return self._description.resized(size)

    def generate(self, requests: Sequence[Request], *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        """Answer requests, in their order; vLLM batches them by itself.

        Raises:
            ServingError: vLLM refuses one.
        """
        prompts = [self._prompt(request) for request in requests]
        settings = [self._sampling(request, temperature, seed) for request in requests]
        outputs = self._run(prompts, settings)
        written = [_written(output.outputs[0]) for output in outputs]
        logprobs = [[step[token].logprob for token, step in zip(ids, logs, strict=False)] for ids, logs, _ in written]
        completions = [
            Completion.of([self._piece(token) for token in ids], scores, finished=finished)
            for (ids, _, finished), scores in zip(written, logprobs, strict=True)
        ]
        return [checked(request, completion) for request, completion in zip(requests, completions, strict=True)]

    def sample(
        self, requests: Sequence[Request], num_answers: int, *, temperature: float = 1.0, seed: int = 0
    ) -> list[list[Sample]]:
        """Draw several answers to each request.

        Without a GPU vLLM takes no seeds, and draws others each time.

        Args:
            requests: Requests.
            num_answers: Number of answers to each.
            temperature: Temperature at which tokens are drawn.
            seed: Seed of the random numbers.

        Raises:
            ServingError: vLLM refuses one.
        """
        prompts = [self._prompt(request) for request in requests]
        settings = [
            self._sampling(request, temperature, seed + place * num_answers, num_answers)
            for place, request in enumerate(requests)
        ]
        outputs = self._run(prompts, settings)
        return [
            [self._sample(request, answer) for answer in output.outputs]
            for request, output in zip(requests, outputs, strict=True)
        ]

    def _sample(self, request: Request, answer: CompletionOutput) -> Sample:
        ids, logs, finished = _written(answer)
        tokens = tuple(answer.token_ids)
        scores = tuple(step[token].logprob for token, step in zip(tokens, logs, strict=True))
        completion = Completion.of([self._piece(token) for token in ids], scores[: len(ids)], finished=finished)
        return Sample(completion=checked(request, completion), tokens=tokens, logprobs=scores)

    def take_adapter(self, folder: Path) -> None:
        """Answer with another adapter from now on; its rank is that of the first.

        Args:
            folder: Folder of the adapter.
        """
        self._folder = folder
        self._number += 1

    def _prompt(self, request: Request) -> dict[str, Any]:
        """Return the ids that training saw, with one placeholder a picture, as vLLM expands them itself."""
        processor = self._description.processor
        text = processor.apply_chat_template(request.messages, add_generation_prompt=True, tokenize=False)
        prompt: dict[str, Any] = {"prompt_token_ids": self._tokenizer(text, add_special_tokens=False)["input_ids"]}
        if request.images:
            prompt["multi_modal_data"] = {"image": list(request.images)}
        return prompt

    def _sampling(self, request: Request, temperature: float, seed: int, num_answers: int = 1) -> SamplingParams:
        from vllm.sampling_params import SamplingParams, StructuredOutputsParams

        grammar = request.counted_grammar
        constraint = None if grammar is None else StructuredOutputsParams(grammar=grammar)
        return SamplingParams(
            n=num_answers,
            temperature=temperature,
            seed=None if temperature == 0 or seeds_are_fatal() else seed,
            max_tokens=request.max_tokens,
            logprobs=0,
            structured_outputs=constraint,
            detokenize=False,
        )

    def _run(self, prompts: Sequence[dict[str, Any]], settings: Sequence[SamplingParams]) -> list[RequestOutput]:
        try:
            return self._llm.generate(
                list(prompts),  # type: ignore[arg-type]
                list(settings),
                use_tqdm=False,
                lora_request=self._adapter,
            )
        except (ValueError, RuntimeError) as error:
            raise ServingError(f"vLLM refuses a post: {str(error).strip().splitlines()[0]}") from error

    @property
    def _tokenizer(self) -> Any:
        return self._description.tokenizer

    @property
    def _adapter(self) -> LoRARequest | None:
        from vllm.lora.request import LoRARequest

        if self._folder is None:
            return None
        # What vLLM keeps of a prompt goes by the name of the adapter.
        return LoRARequest(f"{self._plan.models[0].name}-{self._number}", self._number, str(self._folder))

    @cached_property
    def _guide(self) -> Any:
        return from_tokenizer(self._tokenizer)

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        return frozenset(self._tokenizer.all_special_ids)

    def _piece(self, token: int) -> bytes:
        return b"" if token in self._special_ids else bytes(self._guide.decode_bytes([token]))


def _start(arguments: Sequence[str]) -> LLM:
    if find_spec("vllm") is None:
        raise ConfigError("--engine vllm needs vLLM: pip install 'instruct-mner[serve]'")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.update(vllm_environment())
    if not has_gpu():
        # On a CPU the engine's and the worker's own processes cost each a minute of imports, and what they tell each
        # other takes time from the model.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    from vllm import LLM, EngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = EngineArgs.add_cli_args(FlexibleArgumentParser())  # type: ignore[no-untyped-call]
    try:
        return LLM.from_engine_args(EngineArgs.from_cli_args(parser.parse_args(list(arguments))))
    except (ValueError, RuntimeError) as error:
        raise ServingError(f"vLLM does not start: {error}; its own flags can be given with --vllm") from error


def checked(request: Request, completion: Completion) -> Completion:
    """Return a completion, marked as failed where vLLM ended the turn because the matcher of the grammar failed."""
    if request.grammar is None or not completion.finished:
        return completion
    if answer_state(request, completion.text) == "whole":
        return completion
    return replace(completion, finished=False, failed=True)


def _written(answer: CompletionOutput) -> tuple[list[int], Any, bool]:
    """Return the ids of an answer without the end of its turn, their log-probabilities, and whether it is complete."""
    finished = answer.finish_reason == "stop"
    ids = list(answer.token_ids)
    return (ids[:-1] if finished else ids), answer.logprobs or [], finished
