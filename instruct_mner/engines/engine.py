"""Engines: they turn requests into completions. One file a backend, the same four methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from instruct_mner.answers.counted_grammar import with_counting
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

    from instruct_mner.answers.guide import Allowed

NOT_PICKLED = (
    "a tagger with a model in this process cannot be pickled: make one within each worker, as by the initializer of a "
    "pool, or let the workers ask 'instruct-mner serve' by instruct_mner.Client"
)
"""Message of engines that hold a model, for whoever pickles a tagger, or copies it deeply."""

NO_NUMBERS = (
    "the model gives tokens the probability NaN, so that its answers mean nothing: its weights hold NaN, as behind a "
    "training that diverged, or its numbers overflow; take other weights, or those of an earlier run"
)
"""Message of answers whose probabilities are no numbers."""


@dataclass(frozen=True)
class FromText:
    """Form of a request that is answered from a picture generated from its text.

    Attributes:
        messages: Chat with a place for the picture.
        begin: First character of the text in the last part of the request's own chat.
        end: Position after its last character.
    """

    messages: list[dict[str, Any]]
    begin: int
    end: int


@dataclass(frozen=True)
class Request:
    """Question to a model.

    Attributes:
        messages: Chat, with a place for every picture.
        images: Pictures, in the order of their places.
        grammar: Lark grammar of the allowed answers; ``None`` allows anything.
        max_tokens: Number of tokens at which an answer is cut.
        rest: Maker of the grammars behind the entities of an answer, where occurrences are counted.
        schema: Grammar as a JSON schema, where answers are JSON, for a server that knows no grammar.
        from_text: Form of the request for the engine that generates pictures.
    """

    messages: list[dict[str, Any]]
    images: tuple[Image, ...] = ()
    grammar: str | None = None
    max_tokens: int = 256
    schema: dict[str, Any] | None = None
    from_text: FromText | None = None
    rest: RestOfAnswer | None = None

    @property
    def counted_grammar(self) -> str | None:
        """The grammar with all that is needed to count occurrences, for engines that are sent nothing else."""
        return None if self.grammar is None else with_counting(self.grammar, self.rest)


@dataclass(frozen=True)
class Token:
    """Piece of a completion.

    Attributes:
        start: First character of the completion's text that it writes to.
        end: Position after the last character.
        logprob: Natural logarithm of its probability among the tokens that the grammar allowed; from some servers,
            among all.
    """

    start: int
    end: int
    logprob: float


@dataclass(frozen=True)
class Completion:
    """Answer of a model.

    Attributes:
        text: Text without special tokens.
        tokens: Pieces of the text; none where the backend gives no probabilities.
        finished: Whether it came to its end; not so where it was cut at ``max_tokens``, or where its grammar failed.
        failed: Whether its grammar failed on the way; one that is finished all the same was written again, without
            a constraint.
    """

    text: str
    tokens: tuple[Token, ...] = ()
    finished: bool = True
    failed: bool = False

    @classmethod
    def of(cls, pieces: Sequence[bytes], logprobs: Sequence[float], *, finished: bool, failed: bool = False) -> Self:
        """Return the text of tokens; a character of several tokens belongs to each of them.

        Args:
            pieces: Bytes of each token; none for a token that is no text.
            logprobs: Log-probability of each token.
            finished: Whether the answer came to its end.
            failed: Whether its grammar failed.

        Raises:
            ModelError: A log-probability is NaN.
        """
        if any(map(math.isnan, logprobs)):
            raise ModelError(NO_NUMBERS)
        whole = b"".join(pieces)
        tokens = []
        position = 0
        for piece, logprob in zip(pieces, logprobs, strict=True):
            start = len(whole[:position].decode("utf-8", errors="ignore"))
            position += len(piece)
            end = len(whole[:position].decode("utf-8", errors="replace"))
            tokens.append(Token(start, end, logprob))
        return cls(whole.decode("utf-8", errors="replace"), tuple(tokens), finished and not failed, failed)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Answer that was drawn.

    Attributes:
        completion: Text of the answer.
        tokens: Ids of its tokens, with the one that ends the turn.
        allowed: Tokens that the grammar allowed at each of them, ``(tokens, bytes)``, a bit each; ``None`` where
            anything was, or where the engine does not say.
        logprobs: Log-probability of each of them as it was drawn, where the engine is not the model that is trained.
    """

    completion: Completion
    tokens: tuple[int, ...]
    allowed: Allowed | None = None
    logprobs: tuple[float, ...] | None = None


class Sampler(Protocol):
    """Engine that draws several answers to a request."""

    def sample(
        self, requests: Sequence[Request], num_answers: int, *, temperature: float = 1.0, seed: int = 0
    ) -> list[list[Sample]]:
        """Draw so many answers to each request."""


class Engine(Protocol):
    """Engine of any backend."""

    def special_tokens(self) -> tuple[str, ...]:
        """Return the strings that a post must not hold."""

    def generate(self, requests: Sequence[Request], *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        """Answer requests, in their order. Temperature 0 is greedy."""

    @property
    def context_size(self) -> int | None:
        """Number of tokens that prompt and answer may have together; ``None`` where it is not known."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""

    def count_prompt(self, request: Request) -> int:
        """Return the number of tokens of a prompt, with its pictures; at most, where the tokenizer is not known."""

    def count_image_tokens(self, sizes: Sequence[tuple[int, int]]) -> Sequence[int]:
        """Return the number of tokens of pictures of some widths and heights, cheaply; 0 where it is not known."""

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Return width and height of a picture after the processor's resize, where boxes are written in them."""
