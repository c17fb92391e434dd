"""OpenAI's routes, passed on to vLLM; what would make it fail, or open a file or an address, is refused before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated, Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.responses import Response, StreamingResponse

from instruct_mner.errors import ServingError
from instruct_mner.serving.limits import Limits, RefusedError, check_encodable, decode_picture, is_allowed_address

# What vLLM takes beside OpenAI's fields, and what is the operator's to say: how pictures are processed (a request
# could ask for a picture of any size), the template of the chat, tensors instead of text, transfers between servers.
_OPERATORS = (
    "mm_processor_kwargs", "media_io_kwargs", "chat_template", "chat_template_kwargs", "prompt_embeds",
    "kv_transfer_params", "ec_transfer_params", "vllm_xargs", "documents", "priority",
)  # fmt: skip


Prompt = Annotated[str, Field(min_length=1)]


class ChatMessage(BaseModel):
    """A message of a chat; further fields of OpenAI's are passed on."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None


class ChatBody(BaseModel):
    """A body of ``/v1/chat/completions``; further fields of OpenAI's and vLLM's are passed on."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    n: Annotated[int, Field(ge=1, strict=True)] | None = None
    stream: StrictBool | None = None


class CompletionBody(BaseModel):
    """A body of ``/v1/completions``; further fields are passed on."""

    model_config = ConfigDict(extra="allow")

    model: str
    prompt: Prompt | Annotated[list[Prompt], Field(min_length=1)]
    n: Annotated[int, Field(ge=1, strict=True)] | None = None
    stream: StrictBool | None = None


class Upstream:
    """vLLM, as the gateway asks it.

    Args:
        client: A connection to it, with its key.
        names: The models that it serves.
        special_tokens: Strings that a text of a chat must not hold: they would end a turn, or count as a picture.
        placeholders: Those of them that count as a picture; a prompt without any structure must not hold them either.
        limits: Limits of a request.
        max_images: Pictures of a request.
        remote_domains: Domains from which vLLM may fetch pictures.
        without_seed: True to leave seeds out of what is passed on; OpenAI promises of them no more than an effort.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        names: Sequence[str],
        special_tokens: Sequence[str],
        placeholders: Sequence[str],
        limits: Limits,
        max_images: int,
        remote_domains: Sequence[str] = (),
        *,
        without_seed: bool = False,
    ) -> None:
        self.client = client
        self.names = tuple(names)
        self._special_tokens = tuple(special_tokens)
        self._placeholders = tuple(placeholders)
        self._limits = limits
        self._max_images = max_images
        self._remote_domains = tuple(remote_domains)
        self._without_seed = without_seed
        self._decoders = asyncio.Semaphore(2)

    async def check_chat(self, body: ChatBody) -> None:
        """Refuse a chat that must not reach vLLM.

        Raises:
            RefusedError: With a 4xx.
        """
        self._check_common(body.model, body.n, body.model_extra or {})
        # Names, tool calls and tools are rendered into the prompt as well.
        for further in (body.model_extra or {}).get("tools"), *(message.model_extra for message in body.messages):
            if further:
                self._check_text(json.dumps(further, ensure_ascii=False), self._special_tokens)
        pictures = []
        for text, picture in _parts(body.messages):
            if text is not None:
                self._check_text(text, self._special_tokens)
            if picture is not None:
                pictures.append(picture)
        if len(pictures) > self._max_images:
            raise RefusedError(422, f"{len(pictures)} pictures; at most {self._max_images} are taken")
        for number, picture in enumerate(pictures, start=1):
            if not is_allowed_address(picture, self._remote_domains):
                async with self._decoders:
                    await asyncio.to_thread(decode_picture, picture, number, self._limits)

    def check_completion(self, body: CompletionBody) -> None:
        """Refuse a completion that must not reach vLLM.

        Raises:
            RefusedError: With a 4xx.
        """
        self._check_common(body.model, body.n, body.model_extra or {})
        for text in [body.prompt] if isinstance(body.prompt, str) else body.prompt:
            self._check_text(text, self._placeholders)

    def _check_common(self, model: str, num_choices: int | None, further: dict[str, Any]) -> None:
        if model not in self.names:
            raise RefusedError(404, f"there is no model {model!r:.80}; there are {', '.join(self.names)}")
        for name in _OPERATORS:
            if further.get(name) is not None:
                raise RefusedError(422, f"'{name}' is not for requests: the operator of this server sets it")
        # Source: vLLM 0.32 with adapters (punica_cpu.add_lora_logits): beside other requests, the log-probabilities of
        # a prompt end it on a CPU.
        if further.get("prompt_logprobs") is not None or (further.get("echo") and _asks_logprobs(further)):
            raise RefusedError(422, "log-probabilities of the prompt are not served; those of the answer are")
        if num_choices is not None and num_choices > self._limits.num_choices:
            raise RefusedError(422, f"n is {num_choices}, more than the {self._limits.num_choices} allowed")

    def _check_text(self, text: str, forbidden: Sequence[str]) -> None:
        check_encodable(text)
        if len(text) > self._limits.text_characters:
            raise RefusedError(413, f"a text is longer than the {self._limits.text_characters} characters allowed")
        token_in_text = next((token for token in forbidden if token in text), None)
        if token_in_text is not None:
            raise RefusedError(
                422,
                f"a text holds {token_in_text!r}, a special token of the model; /v1/entities takes such texts as is",
            )

    async def pass_on(self, path: str, body: ChatBody | CompletionBody, content: bytes) -> Response:
        """Pass on what was checked, as it came.

        Raises:
            ServingError: vLLM is not there.
        """
        if self._without_seed and (body.model_extra or {}).get("seed") is not None:
            content = await asyncio.to_thread(_seedless, content)
        return await self.forward("POST", path, content)

    async def forward(self, method: str, path: str, content: bytes = b"") -> Response:
        """Pass a request on, and the answer back, as it comes.

        Raises:
            ServingError: vLLM is not there.
        """
        headers = {"content-type": "application/json"} if content else {}
        try:
            request = self.client.build_request(method, path, content=content, headers=headers)
            answer = await self.client.send(request, stream=True)
        except httpx.TransportError as error:
            raise ServingError(f"vLLM cannot be reached ({type(error).__name__})") from None
        kind = answer.headers.get("content-type", "application/json")
        if kind.startswith("text/event-stream"):
            return StreamingResponse(_chunks(answer), answer.status_code, media_type=kind)
        try:
            return Response(await answer.aread(), answer.status_code, media_type=kind)
        finally:
            await answer.aclose()


def _asks_logprobs(further: dict[str, Any]) -> bool:
    """Return whether a body requests log-probabilities; 0 requests those of the tokens themselves."""
    values = (further.get("logprobs"), further.get("top_logprobs"))
    return any(value is not None and value is not False for value in values)


def _seedless(content: bytes) -> bytes:
    return json.dumps({name: value for name, value in json.loads(content).items() if name != "seed"}).encode()


async def _chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the answer, piece by piece; where the client goes away, the request to vLLM ends."""
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def _parts(messages: Sequence[ChatMessage]) -> Iterator[tuple[str | None, str | None]]:
    """Return the texts and pictures of a chat; other kinds of content are not served."""
    for message in messages:
        if isinstance(message.content, str):
            yield message.content, None
        for part in message.content if isinstance(message.content, list) else ():
            kind = part.get("type")
            if kind in {"text", "refusal"} and isinstance(part.get(kind), str):
                yield part[kind], None
            elif kind == "image_url":
                given = part.get("image_url")
                url = given.get("url") if isinstance(given, dict) else given
                if not isinstance(url, str):
                    raise RefusedError(422, "a content part of the type image_url has no url")
                yield None, url
            else:
                raise RefusedError(422, f"content parts are text or image_url, not {kind!r:.40}")
