"""The engine on a server: any that speaks OpenAI's chat completions, such as vLLM."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, AsyncOpenAI, OpenAI, OpenAIError

from instruct_mner.engines.address import check_no_credentials, is_address
from instruct_mner.engines.engine import Completion, Request, Token
from instruct_mner.engines.event_loop import run_in_thread
from instruct_mner.engines.grammar_check import answer_state
from instruct_mner.engines.openai_format import SPECIAL_TOKENS, Choice, read_choice, request_body
from instruct_mner.engines.refusals import refusal, unsupported_setting
from instruct_mner.engines.retries import UNAVAILABLE, Pauses, may_pass, retry_after
from instruct_mner.engines.schema_root import list_alone
from instruct_mner.errors import ConfigError, ServingError, UnreachableError
from instruct_mner.schema.choices import Constraint

if TYPE_CHECKING:
    from instruct_mner.models.description import ModelDescription

PICTURE_TOKENS = 2048
"""Number of tokens that a picture is taken to have where the model's processor is not at hand."""


@dataclass(frozen=True)
class Endpoint:
    """Settings of a server and of the requests to it.

    Attributes:
        url: Address of the server; without a path, ``/v1`` is added.
        model: Name under which it serves the model, or the adapter.
        constraint: ``grammar``: vLLM with the guidance backend; ``schema``: ``response_format: json_schema``, for
            answers as JSON; ``none``.
        concurrency: Requests under way at once.
        timeout_seconds: Timeout of one request, in seconds.
        max_retries: After 429, 5xx and timeouts, and after nothing else.
        first_retry_seconds: Pause before the first retry; each further one is twice as long, give or take a half.
        reconnect_seconds: Time through which a connection that is refused or broken off, or 503, is tried again, where
            the server has answered before: a restart ends no run. Without retries there is none.
        scores: Whether log-probabilities are asked for; without them all scores are 1.
        window: Tokens of prompt and answer that the server takes, where that is known. An answer that could need more
            than a quarter of it is cut by the server, where the window ends.
    """

    url: str
    model: str
    constraint: Constraint = "grammar"
    concurrency: int = 8
    timeout_seconds: float = 120.0
    max_retries: int = 5
    first_retry_seconds: float = 0.5
    reconnect_seconds: float = 300.0
    scores: bool = True
    window: int | None = None

    @property
    def base_url(self) -> str:
        """The address, with ``/v1`` where it has no path.

        Raises:
            ConfigError: It is no address, or holds a name or a password.
        """
        check_no_credentials(self.url, "leave it out of --endpoint, and set OPENAI_API_KEY where a key is needed")
        if not is_address(self.url):
            raise ConfigError(f"--endpoint {self.url}: write an address such as http://localhost:8000/v1")
        parts = urlsplit(self.url)
        return self.url if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/v1"


class EndpointEngine:
    """Engine that answers requests with a server; pictures travel as PNG, so that it sees the very pixels.

    The API key is read from the environment, ``OPENAI_API_KEY``, unless the server is one of ours.

    Args:
        endpoint: The server.
        description: The model without its weights, where it is at hand: for an adapter. Without it,
            special tokens are those of the usual families, and the length of an answer is bounded by its bytes.
        key: API key of a server that this program has started itself.

    Raises:
        ConfigError: The address is none.
    """

    def __init__(self, endpoint: Endpoint, description: ModelDescription | None = None, key: str | None = None) -> None:
        self._endpoint = endpoint
        self._base_url = endpoint.base_url
        self._description = description
        self._key = key
        self._has_answered = self._has_served = False
        self._left_out: set[str] = set()

    def special_tokens(self) -> tuple[str, ...]:
        """Return the strings that a post must not hold."""
        return SPECIAL_TOKENS if self._description is None else self._description.special_tokens

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, at most: no tokenizer makes more than one of a byte."""
        if self._description is None:
            return len(text.encode())
        return self._description.count_tokens(text)

    @cached_property
    def context_size(self) -> int | None:
        """Number of tokens that prompt and answer may have together, as the endpoint or its server says."""
        size = self._endpoint.window or self.listed.get("max_model_len")
        return size if isinstance(size, int) and size > 0 else None

    @cached_property
    def listed(self) -> dict[str, Any]:
        """Entry of the model under ``/models``; empty where the server lists none, or has no such address."""
        try:
            with OpenAI(base_url=self._base_url, api_key=self._api_key, timeout=10, max_retries=0) as client:
                answer = client.models.with_raw_response.list().http_response.json()
        except (OpenAIError, ValueError):
            return {}
        models = answer.get("data") if isinstance(answer, dict) else None
        entries = [each for each in models if isinstance(each, dict)] if isinstance(models, list) else []
        return next((each for each in entries if each.get("id") == self._endpoint.model), {})

    def count_prompt(self, request: Request) -> int:
        """Return the number of tokens of a prompt, with its pictures.

        Without the model's processor, text has as many as bytes, and a picture as many as ``PICTURE_TOKENS``.
        """
        if self._description is not None:
            return self._description.count_prompt(request.messages, request.images)
        parts = [part["text"] for message in request.messages for part in message["content"] if "text" in part]
        return sum(len(part.encode()) for part in parts) + PICTURE_TOKENS * len(request.images)

    def count_image_tokens(self, sizes: Sequence[tuple[int, int]]) -> Sequence[int]:
        """Return the number of tokens of pictures of some widths and heights, as :meth:`count_prompt` counts them."""
        if self._description is None:
            return [PICTURE_TOKENS] * len(sizes)
        return self._description.count_image_tokens(sizes)

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Return width and height of a picture after the processor's resize, where boxes are written in them."""
        return None if self._description is None else self._description.resized(size)

    def generate(self, requests: Sequence[Request], *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        """Answer requests, in their order; several are under way at once.

        Raises:
            ServingError: The server cannot be reached, refuses a request, ignores the grammar, or says no
                log-probabilities although scores are asked for.
        """
        return run_in_thread(self._generate(requests, temperature, seed))

    def client(self) -> AsyncOpenAI:
        """Return a connection to the server."""
        return AsyncOpenAI(
            base_url=self._base_url, api_key=self._api_key, timeout=self._endpoint.timeout_seconds, max_retries=0
        )

    @property
    def _api_key(self) -> str:
        # A server that asks for no key takes any; the client does not go without.
        return self._key or os.environ.get("OPENAI_API_KEY") or "none"

    async def answer(
        self, client: AsyncOpenAI, request: Request, *, temperature: float = 0.0, seed: int = 0
    ) -> Completion:
        """Answer one request; pictures are packed, and answers checked, in threads beside the event loop.

        Raises:
            ServingError: The errors of :meth:`generate`.
        """
        body = await asyncio.to_thread(self._body, request, temperature, seed)
        choice = await self._ask(client, body)
        return await asyncio.to_thread(self._completion, request, choice)

    def _body(self, request: Request, temperature: float, seed: int) -> dict[str, Any]:
        body = request_body(
            request,
            self._endpoint.constraint,
            logprobs=self._endpoint.scores,
            joined=self._description is not None and not self._description.family.sees,
        )
        # The size of the context, where the endpoint says it or the server was asked for it.
        window = self._endpoint.window or self.__dict__.get("context_size")
        if window is not None and request.max_tokens > window // 4:
            del body["max_tokens"]
        body |= {"model": self._endpoint.model, "temperature": temperature, "seed": seed}
        return {name: value for name, value in body.items() if name not in self._left_out}

    async def _generate(self, requests: Sequence[Request], temperature: float, seed: int) -> list[Completion]:
        slots = asyncio.Semaphore(self._endpoint.concurrency)
        async with self.client() as client:

            async def answer(request: Request) -> Completion:
                async with slots:
                    return await self.answer(client, request, temperature=temperature, seed=seed)

            tasks = [asyncio.create_task(answer(request)) for request in requests]
            try:
                return list(await asyncio.gather(*tasks))
            finally:
                for task in tasks:
                    task.cancel()

    async def _ask(self, client: AsyncOpenAI, body: dict[str, Any]) -> Choice:
        """Return the first choice of the server's answer; the slot is kept through all retries, to relieve it."""
        pauses, retries_left = Pauses(self._endpoint.first_retry_seconds), self._endpoint.max_retries
        broken_since: float | None = None
        while True:
            try:
                response = await client.chat.completions.with_raw_response.create(**body)
                self._has_answered = self._has_served = True
                return read_choice(response.http_response.json())
            except APITimeoutError:
                if not retries_left:
                    raise ServingError(
                        f"{self._base_url} did not answer within {self._endpoint.timeout_seconds:g} seconds, "
                        f"{self._endpoint.max_retries + 1} times; is it overloaded? Lower --concurrency"
                    ) from None
                retries_left, wait = retries_left - 1, 0.0
            except APIStatusError as error:
                if (setting := unsupported_setting(error, body)) is not None:
                    body = self._without(setting, body)
                    continue
                now, wait = time.monotonic(), retry_after(error) or 0.0
                is_away = error.status_code == UNAVAILABLE
                broken_since = (broken_since or now) if is_away else None
                # A server that has served, and says that it cannot now, may be starting again.
                waits = is_away and self._has_served and self._may_reconnect(now - (broken_since or now))
                self._has_answered = True
                if not waits and (not retries_left or not may_pass(error.status_code)):
                    raise refusal(error, self._base_url, self._endpoint.model) from None
                retries_left -= 0 if waits else 1
            except APIConnectionError as error:
                now, wait = time.monotonic(), 0.0
                broken_since = now if broken_since is None else broken_since
                if not self._may_reconnect(now - broken_since):
                    reason = error.__cause__ or error
                    raise UnreachableError(
                        f"{self._base_url} cannot be reached ({reason}): start the server, or check --endpoint"
                    ) from None
            except (APIError, ValueError) as error:
                raise ServingError(
                    f"{self._base_url} does not answer as OpenAI's chat completions do ({error}): check --endpoint; "
                    "most servers have them under /v1"
                ) from None
            await asyncio.sleep(pauses.next(wait))

    def _without(self, setting: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request without a setting that the server does not know, as are all that follow; tell it once."""
        if setting not in self._left_out:
            self._left_out.add(setting)
            model = self._endpoint.model
            print(f"{self._base_url} takes no {setting!r} for model {model!r}: it is left out", file=sys.stderr)
        return {name: value for name, value in body.items() if name != setting}

    def _may_reconnect(self, seconds: float) -> bool:
        """Return whether to try again after so many seconds without a connection."""
        return self._has_answered and self._endpoint.max_retries > 0 and seconds < self._endpoint.reconnect_seconds

    def _completion(self, request: Request, choice: Choice) -> Completion:
        text = choice.text
        constrained = self._endpoint.constraint == "grammar" and request.grammar is not None
        state = answer_state(request, text) if constrained else "whole"
        # Servers ignore what they do not know, with HTTP 200: only the answer tells.
        if state == "broken":
            raise ServingError(
                f"{self._base_url} ignores the grammar of the answers (it wrote {text[:80]!r}): start vLLM with "
                '--structured-outputs-config \'{"backend":"guidance"}\', or choose --constraint schema or none'
            )
        tokens = self._tokens(choice) if self._endpoint.scores and text else ()
        ended = choice.finish_reason != "length"
        # vLLM ends the turn, with no more than a line in its log, where the matcher of a grammar fails.
        return list_alone(
            Completion(text, tokens, finished=ended and state == "whole", failed=ended and state != "whole")
        )

    def _tokens(self, choice: Choice) -> tuple[Token, ...]:
        reason = ""
        try:
            if tokens := choice.tokens():
                return tokens
        except ValueError as error:
            reason = f" ({error})"
        raise ServingError(
            f"{self._base_url} says no log-probabilities of what it wrote{reason}, so confidences are not known; with "
            "--no-scores (Python: scores=False) it is used without, and every score is 1"
        )
