"""Requests and completions as OpenAI's chat completions write them; pure, without a connection."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from instruct_mner.engines.engine import Request, Token
from instruct_mner.engines.schema_root import in_object
from instruct_mner.prompting.conversation import joined_parts
from instruct_mner.schema.choices import Constraint
from instruct_mner.schema.validation_messages import reasons

if TYPE_CHECKING:
    from PIL.Image import Image


# What gives a prompt its structure in the families that people serve; a post must not hold it.
# Source: tokenizer_config.json of Qwen2-VL, Qwen2.5-VL, Qwen3-VL, SmolVLM, SmolVLM2, Idefics3, Gemma 3, InternVL 3,
# LLaVA-OneVision, Llama 3.2 Vision, Pixtral and Phi-3.5-vision.
_STRUCTURE = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
    "<|quad_start|>", "<|quad_end|>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>",
    "</think>", "<image>", "<video>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<bos>",
    "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
    "<image_soft_token>", "<IMG_CONTEXT>", "<img>", "</img>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>",
    "</box>", "<s>", "</s>", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>", "<|image|>", "[INST]", "[/INST]", "[IMG]",
    "[IMG_BREAK]", "[IMG_END]", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>",
)  # fmt: skip
# Source: the added tokens of Idefics3 and SmolVLM name tiles of up to 6 rows and columns.
_ROWS = range(1, 7)
SPECIAL_TOKENS = (*_STRUCTURE, *(f"<row_{row}_col_{column}>" for row in _ROWS for column in _ROWS))
"""Those of an unknown model."""


def request_body(request: Request, constraint: Constraint, *, logprobs: bool, joined: bool = False) -> dict[str, Any]:
    """Return the arguments of ``chat.completions.create``, without model and sampling.

    Args:
        request: Question.
        constraint: ``grammar`` is vLLM's ``structured_outputs``, ``schema`` OpenAI's ``response_format``.
        logprobs: Whether log-probabilities are asked for.
        joined: Whether the content of a message is one string, as text models get it in training; a server would put
            line breaks between its parts.
    """
    messages = [joined_parts(each) for each in request.messages] if joined else _with_pictures(request)
    body: dict[str, Any] = {"messages": messages, "max_tokens": request.max_tokens}
    if logprobs:
        body["logprobs"] = True
    if constraint == "grammar":
        # vLLM takes what a request does not say from the model's generation_config.json: a penalty of repetitions
        # there (Qwen2-VL and Qwen2.5-VL have one) would change what greedy means.
        body["extra_body"] = {"repetition_penalty": 1.0}
        if request.grammar is not None:
            body["extra_body"]["structured_outputs"] = {"grammar": request.counted_grammar}
    if constraint == "schema" and request.schema is not None:
        schema = {"name": "entities", "schema": in_object(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _joined(content: object) -> object:
    """Return the text of content that is a list of texts, as some servers write it, and other content as it is."""
    if not isinstance(content, list):
        return content
    parts = [each for each in content if isinstance(each, dict) and each.get("type") == "text"]
    texts = [text for each in parts if isinstance(text := each.get("text"), str)]
    return "".join(texts) if len(texts) == len(content) else content


class WrittenToken(BaseModel):
    """Token of an answer.

    Attributes:
        token: Text of the token, as far as it is one.
        bytes: Bytes of the token, where the server gives them.
        logprob: Natural logarithm of its probability; above 0 by no more than a computation may round.
    """

    model_config = ConfigDict(strict=True)

    token: str
    bytes: list[Annotated[int, Field(ge=0, le=255)]] | None = None
    logprob: Annotated[float, Field(le=1e-2)]


class _Logprobs(BaseModel):
    content: list[WrittenToken] | None = None


class _Message(BaseModel):
    content: Annotated[str | None, BeforeValidator(_joined)] = None


class Choice(BaseModel):
    """Answer of a server, of whose fields its own client checks none.

    Attributes:
        message: Message with the text, if there is any.
        finish_reason: Reason why it ends; ``length`` where it was cut.
        logprobs: Log-probabilities of the tokens, which are checked where they are read.
    """

    message: _Message
    finish_reason: str | None = None
    logprobs: Any = None

    @property
    def text(self) -> str:
        """Text of the answer; empty where there is none."""
        return self.message.content or ""

    def tokens(self) -> tuple[Token, ...]:
        """Return the place of each token in the text; none where there are none, or they do not spell it.

        Raises:
            ValueError: The log-probabilities are none; the message says where.
        """
        try:
            logprobs = _Logprobs() if self.logprobs is None else _Logprobs.model_validate(self.logprobs)
        except ValidationError as error:
            raise ValueError(f"logprobs: {reasons(error, _Logprobs)[0]}") from None
        return written_tokens(self.text, logprobs.content or ())


class _Answer(BaseModel):
    choices: Annotated[list[Choice], Field(min_length=1)]


def read_choice(answer: object) -> Choice:
    """Return the first choice of the answer of a server.

    Args:
        answer: Value of its JSON.

    Raises:
        ValueError: It is no chat completion; the message says where.
    """
    try:
        return _Answer.model_validate(answer).choices[0]
    except ValidationError as error:
        raise ValueError(reasons(error, _Answer)[0]) from None


def written_tokens(text: str, logprobs: Sequence[WrittenToken]) -> tuple[Token, ...]:
    """Return the place of each token in the text of an answer; none where the tokens do not spell it.

    A token that is no text of its own (the end of the turn, or a part of a character, of which servers show nothing)
    belongs to the character that comes next.

    Args:
        text: Text of the answer.
        logprobs: Tokens with their log-probabilities.
    """
    whole = text.encode(errors="replace")
    position, tokens = 0, []
    for each in logprobs:
        piece = each.token.encode(errors="replace") if each.bytes is None else bytes(each.bytes)
        if position == 0 and not whole.startswith(piece):
            piece = piece.lstrip()
        start = len(whole[:position].decode(errors="ignore"))
        end = min(start + 1, len(text))
        if piece and whole.startswith(piece, position):
            position += len(piece)
            end = len(whole[:position].decode(errors="replace"))
        tokens.append(Token(start, end, each.logprob))
    return () if whole[position:].strip() else tuple(tokens)


def _with_pictures(request: Request) -> list[dict[str, Any]]:
    pictures = iter(request.images)
    return [
        {
            "role": message["role"],
            "content": [_picture(next(pictures)) if part["type"] == "image" else part for part in message["content"]],
        }
        for message in request.messages
    ]


def _picture(picture: Image) -> dict[str, Any]:
    """Return a picture as PNG, so that the server sees the same pixels."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
