"""Engines: they turn requests into completions. One file a backend, the same four methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class FromText:
    """How a request is answered from a picture that is generated from its text.

    Attributes:
        messages: The chat with a place for the picture.
        begin: First character of the text in the last part of the request's own chat.
        end: One past its last.
    """

    messages: list[dict[str, Any]]
    begin: int
    end: int


@dataclass(frozen=True)
class Request:
    """One question to a model.

    Attributes:
        messages: The chat, with a place for every picture.
        images: The pictures, in the order of their places.
        grammar: A Lark grammar of the answers that are allowed; ``None`` = anything.
        max_tokens: Where an answer is cut.
        schema: The grammar as a JSON schema, where answers are JSON, for a server that knows no grammar.
        from_text: How it is answered from a generated picture, for the engine that does.
    """

    messages: list[dict[str, Any]]
    images: tuple[Image, ...] = ()
    grammar: str | None = None
    max_tokens: int = 256
    schema: dict[str, Any] | None = None
    from_text: FromText | None = None


@dataclass(frozen=True)
class Token:
    """A piece of a completion.

    Attributes:
        start: First character of the completion's text that it writes to.
        end: One past the last.
        logprob: Natural logarithm of its probability before any constraint; a server may give that after it, as vLLM
            0.32 does for requests with a grammar.
    """

    start: int
    end: int
    logprob: float


@dataclass(frozen=True)
class Completion:
    """What a model wrote.

    Attributes:
        text: Without special tokens.
        tokens: Its pieces; none where the backend does not say their probabilities.
        finished: False where it was cut at ``max_tokens``, or where its grammar failed.
        failed: Whether its grammar failed on the way; one that is finished all the same was written again, without
            a constraint.
    """

    text: str
    tokens: tuple[Token, ...] = ()
    finished: bool = True
    failed: bool = False

    @classmethod
    def of(cls, pieces: Sequence[bytes], logprobs: Sequence[float], *, finished: bool, failed: bool = False) -> Self:
        """What tokens spell; a character of several tokens belongs to each of them.

        Args:
            pieces: The bytes of each token; none for a token that is no text.
            logprobs: The log-probability of each.
            finished: Whether the answer came to its end.
            failed: Whether its grammar failed.
        """
        whole = b"".join(pieces)
        tokens = []
        position = 0
        for piece, logprob in zip(pieces, logprobs, strict=True):
            start = len(whole[:position].decode("utf-8", errors="ignore"))
            position += len(piece)
            end = len(whole[:position].decode("utf-8", errors="replace"))
            tokens.append(Token(start, end, logprob))
        return cls(whole.decode("utf-8", errors="replace"), tuple(tokens), finished and not failed, failed)


class Engine(Protocol):
    """What every backend does."""

    def special_tokens(self) -> tuple[str, ...]:
        """Strings that a post must not hold."""

    def generate(self, requests: Sequence[Request], *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        """Answers requests, in their order. Temperature 0 is greedy."""

    @property
    def context_size(self) -> int | None:
        """Number of tokens that prompt and answer may have together; ``None`` where it is not known."""

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has."""

    def count_prompt(self, request: Request) -> int:
        """Return the number of tokens of a prompt, with its pictures; at most, where the tokenizer is not known."""

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Width and height of a picture after the processor's resize, where boxes are written in them."""
