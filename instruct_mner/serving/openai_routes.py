"""OpenAI's routes: what vLLM gets is written from a body that was checked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

import httpx
from starlette.responses import Response, StreamingResponse

from instruct_mner.errors import ServingError, UnreachableError
from instruct_mner.serving.constraints import constraint_of
from instruct_mner.serving.limits import Limits, RefusedError
from instruct_mner.serving.pictures import is_allowed_address

if TYPE_CHECKING:
    from instruct_mner.serving.openai_bodies import ChatBody, CompletionBody, SamplingBody
    from instruct_mner.serving.pictures import PictureReader
    from instruct_mner.serving.worker_pool import WorkerPool

# Less than the ten seconds in which Prometheus wants all metrics.
_METRICS_SECONDS = 5.0
_LOOK_SECONDS = 0.25
_TOKEN_COUNTERS = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")


class Upstream:
    """vLLM, as the gateway calls it.

    Args:
        client: Connection to it, with its key.
        names: Names of the models that it serves.
        special_tokens: Strings that a text of a chat must not hold: they would end a turn, or count as a picture.
        placeholders: Those of them that count as a picture; a prompt without any structure must not hold them either.
        limits: Limits of requests.
        max_images: Number of pictures in a request, at most.
        pictures: Decoder of pictures.
        compilers: Processes that compile constraints.
        remote_domains: Domains from which vLLM may fetch pictures.
        without_seed: Whether seeds are left out of what vLLM gets; OpenAI promises of them no more than an effort.
        on_token: Function that is called when vLLM has written something.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        names: Sequence[str],
        special_tokens: Sequence[str],
        placeholders: Sequence[str],
        limits: Limits,
        max_images: int,
        *,
        pictures: PictureReader,
        compilers: WorkerPool,
        remote_domains: Sequence[str] = (),
        without_seed: bool = False,
        on_token: Callable[[], None] = lambda: None,
    ) -> None:
        self.client = client
        self.names = tuple(names)
        self._special_tokens = tuple(special_tokens)
        self._placeholders = tuple(placeholders)
        self._limits = limits
        self._max_images = max_images
        self._pictures = pictures
        self._compilers = compilers
        self._remote_domains = tuple(remote_domains)
        self._without_seed = without_seed
        self._on_token = on_token

    async def chat(self, body: ChatBody) -> Response:
        """Check a chat, and return vLLM's answer.

        Raises:
            RefusedError: It must not reach vLLM.
            BusyError: Too much is under way.
            ServingError: vLLM is not there.
        """
        self._check_chat(body)
        await self._check_constraint(body)
        parts = [part for message in body.messages for part in message.pictures]
        sent = [part for part in parts if not is_allowed_address(part.url, self._remote_domains)]
        async with AsyncExitStack() as held:
            urls = iter(await held.enter_async_context(self._pictures.png_urls([part.url for part in sent])))
            rewritten = [next(urls) if part in sent else part.url for part in parts]
            return await self._post("/v1/chat/completions", _with_urls(body.for_vllm(), rewritten), held)

    async def complete(self, body: CompletionBody) -> Response:
        """Check a completion, and return vLLM's answer.

        Raises:
            RefusedError: It must not reach vLLM.
            BusyError: Too much is under way.
            ServingError: vLLM is not there.
        """
        self._check_common(body)
        # Source: vLLM 0.32 with adapters (punica_cpu.add_lora_logits): beside other requests, the log-probabilities of
        # a prompt end it on a CPU.
        if body.echo and body.logprobs is not None:
            raise RefusedError(422, "log-probabilities of the prompt are not served; those of the answer are")
        for prompt in body.prompts:
            self._check_text(prompt, self._placeholders)
        await self._check_constraint(body)
        async with AsyncExitStack() as held:
            return await self._post("/v1/completions", body.for_vllm(), held)

    def _check_chat(self, body: ChatBody) -> None:
        self._check_common(body)
        for message in body.messages:
            texts = message.texts
            # A template may put the texts of a message one behind the other, stripped or not, and a name before them.
            for joined in ("".join(texts), "\n".join(texts), "".join(map(str.strip, texts)), message.name or ""):
                self._check_text(joined, self._special_tokens)
        num_pictures = sum(len(message.pictures) for message in body.messages)
        if num_pictures > self._max_images:
            raise RefusedError(422, f"{num_pictures} pictures; at most {self._max_images} are taken")

    def _check_common(self, body: SamplingBody) -> None:
        if body.model not in self.names:
            raise RefusedError(404, f"there is no model {body.model!r:.80}; there are {', '.join(self.names)}")
        if body.n is not None and body.n > self._limits.num_choices:
            raise RefusedError(422, f"n is {body.n}, more than the {self._limits.num_choices} allowed")

    def _check_text(self, text: str, forbidden: Sequence[str]) -> None:
        if len(text) > self._limits.text_characters:
            raise RefusedError(413, f"a text is longer than the {self._limits.text_characters} characters allowed")
        token = next((token for token in forbidden if token in text), None)
        if token is not None:
            raise RefusedError(
                422, f"a text holds {token!r}, a special token of the model; /v1/entities takes such texts as they are"
            )

    async def _check_constraint(self, body: SamplingBody) -> None:
        """Compile the constraint of an answer in a process that may die, before vLLM, which must not, does."""
        try:
            constraint = constraint_of(body.structured_outputs, body.response_format)
        except ValueError as error:
            raise RefusedError(422, str(error)) from None
        if constraint:
            try:
                await self._compilers.run({"do": "compile"}, json.dumps(constraint).encode())
            except RefusedError as error:
                kind = next(iter(constraint))
                raise RefusedError(error.status, f"the constraint of the answer ({kind}): {error}") from None

    async def _post(self, path: str, body: dict[str, Any], held: AsyncExitStack) -> Response:
        if self._without_seed:
            body.pop("seed", None)
        answer = await self._send(path, body)
        kind = answer.headers.get("content-type", "application/json")
        if kind.startswith("text/event-stream"):
            chunks = _chunks(answer, held.pop_all(), self._on_token)
            return StreamingResponse(chunks, answer.status_code, media_type=kind)
        whole = await _whole(answer)
        self._on_token()
        return whole

    async def writes_a_token(self, seconds: float = 2.5) -> bool:
        """Return whether vLLM writes a token: for a request of ours, or, where that waits or is refused, for others."""
        body = {"model": self.names[0], "prompt": "a", "max_tokens": 1, "temperature": 0}
        ours = None
        try:
            async with asyncio.timeout(seconds):
                before = await self._num_tokens()
                ours = asyncio.create_task(self._is_answered("/v1/completions", body))
                while True:
                    if ours.done():
                        await asyncio.sleep(_LOOK_SECONDS)
                    else:
                        await asyncio.wait({ours}, timeout=_LOOK_SECONDS)
                    if (ours.done() and ours.result()) or await self._num_tokens() > before:
                        return True
        except (TimeoutError, httpx.TransportError):
            return False
        finally:
            if ours is not None:
                ours.cancel()

    async def _is_answered(self, path: str, body: Mapping[str, Any]) -> bool:
        with suppress(httpx.TransportError):
            return (await self.client.post(path, json=body)).status_code == 200
        return False

    async def _num_tokens(self) -> float:
        """Return the number of tokens that vLLM has read and written since it started."""
        lines = (await self.client.get("/metrics", timeout=1)).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(_TOKEN_COUNTERS))

    async def metrics(self) -> str:
        """Return the metrics of vLLM; none where it does not answer soon, which those of the gateway outlive."""
        try:
            return (await self.client.get("/metrics", timeout=_METRICS_SECONDS)).raise_for_status().text
        except httpx.HTTPError:
            return ""

    async def _send(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        try:
            return await self.client.send(self.client.build_request("POST", path, json=body), stream=True)
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            raise ServingError(f"vLLM does not answer ({type(error).__name__})") from None
        except httpx.TransportError as error:
            raise UnreachableError(f"vLLM cannot be reached ({type(error).__name__})") from None


async def _whole(answer: httpx.Response) -> Response:
    try:
        content = await answer.aread()
    except httpx.TransportError as error:
        raise ServingError(f"vLLM has broken off ({type(error).__name__})") from None
    finally:
        await answer.aclose()
    if answer.status_code >= 500:
        raise ServingError(f"vLLM failed: HTTP {answer.status_code}", status=answer.status_code)
    return Response(content, answer.status_code, media_type=answer.headers.get("content-type", "application/json"))


async def _chunks(answer: httpx.Response, held: AsyncExitStack, on_token: Callable[[], None]) -> AsyncIterator[bytes]:
    """Yield an answer piece by piece; where the client goes, the connection is closed, and vLLM ends its work."""
    async with held:
        try:
            async for chunk in answer.aiter_raw():
                on_token()
                yield chunk
        finally:
            await answer.aclose()


def _with_urls(body: dict[str, Any], urls: Sequence[str]) -> dict[str, Any]:
    """Return a body with these addresses in the place of its pictures'."""
    waiting = iter(urls)
    contents = [message["content"] for message in body["messages"] if isinstance(message["content"], list)]
    for part in chain.from_iterable(contents):
        if part["type"] == "image_url":
            part["image_url"]["url"] = next(waiting)
    return body
