"""Bodies of OpenAI's routes: the fields that are taken, and nothing else.

What reaches vLLM is written from these models. A field that is missing here is refused by name, so that a new version
of vLLM cannot open a door that nobody has looked at.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StrictBool, Tag

from instruct_mner.serving.constraints import ResponseFormat, StructuredOutputs
from instruct_mner.serving.http_models import Closed

Prompt = Annotated[str, Field(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]
_INT64 = 2**63


def _kind_of_list(value: Any) -> str:
    return "list" if isinstance(value, list) else "text"


class TextPart(Closed):
    """A text of a message."""

    type: Literal["text"]
    text: str


class ImageAddress(Closed):
    """A picture as a data URL, or an address on a domain that the operator allows."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Closed):
    """A picture of a message."""

    type: Literal["image_url"]
    image_url: ImageAddress


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Parts = Annotated[list[Part], Field(min_length=1, max_length=256)]
Content = Annotated[Annotated[str, Tag("text")] | Annotated[Parts, Tag("list")], Discriminator(_kind_of_list)]


class ChatMessage(Closed):
    """A message of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    name: Annotated[str, Field(max_length=64)] | None = None

    @property
    def texts(self) -> list[str]:
        """Texts of the message, in their order."""
        if isinstance(self.content, str):
            return [self.content]
        return [part.text for part in self.content if isinstance(part, TextPart)]

    @property
    def pictures(self) -> list[ImageAddress]:
        """Pictures of the message, in their order."""
        if isinstance(self.content, str):
            return []
        return [part.image_url for part in self.content if isinstance(part, ImagePart)]


class StreamOptions(Closed):
    """Further content of a stream."""

    include_usage: StrictBool | None = None
    continuous_usage_stats: StrictBool | None = None


# Source: OpenAI's API, and vLLM 0.32 (VLLM_MAX_STOP_STRINGS).
StopTexts = Annotated[list[StopText], Field(min_length=1, max_length=4)]
Stop = Annotated[Annotated[StopText, Tag("text")] | Annotated[StopTexts, Tag("list")], Discriminator(_kind_of_list)]


class SamplingBody(Closed):
    """The fields that both routes take."""

    model: str
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[Finite, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Finite, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=1_000_000)] | None = None
    min_p: Annotated[Finite, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[Finite, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[Finite, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[Finite, Field(ge=0.01, le=10)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=-_INT64, lt=_INT64)] | None = None
    stop: Stop | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: StrictBool | None = None
    include_stop_str_in_output: StrictBool | None = None
    skip_special_tokens: StrictBool | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    user: Annotated[str, Field(max_length=512)] | None = None

    def for_vllm(self) -> dict[str, Any]:
        """Return the body that vLLM gets; messages of a chat have their pictures still as they came."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude={"user"})


class ChatBody(SamplingBody):
    """A body of ``/v1/chat/completions``."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=256)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    logprobs: StrictBool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


Prompts = Annotated[list[Prompt], Field(min_length=1, max_length=16)]
PromptOrList = Annotated[Annotated[Prompt, Tag("text")] | Annotated[Prompts, Tag("list")], Discriminator(_kind_of_list)]


class CompletionBody(SamplingBody):
    """A body of ``/v1/completions``."""

    prompt: PromptOrList
    echo: StrictBool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @property
    def prompts(self) -> list[str]:
        """Prompts, one or several."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt
