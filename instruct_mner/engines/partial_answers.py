"""Partial answers: what was written so far, and the grammar that says how it may go on."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from instruct_mner.answers.guide import Guide
from instruct_mner.engines.engine import Request


@dataclass(kw_only=True)
class PartialAnswer:
    """Answer that is not written to its end.

    Attributes:
        request: Request that it answers.
        guide: Guide of its grammar; ``None`` where anything is allowed.
        tokens: Ids of its tokens, without the one that ends the turn.
        logprobs: Log-probability of each token.
        end_token: Token that ended the turn; ``None`` where it goes on, or was cut.
    """

    request: Request
    guide: Guide | None = None
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    end_token: int | None = None

    @property
    def ended(self) -> bool:
        """True where the turn was ended."""
        return self.end_token is not None

    @property
    def finished(self) -> bool:
        """True where the answer is complete or cut."""
        return self.ended or len(self.tokens) >= self.request.max_tokens

    @property
    def failed(self) -> bool:
        """True where its grammar has failed, so that it is no whole answer although the turn was ended."""
        return self.guide is not None and self.guide.failed

    def begun_again(self) -> PartialAnswer:
        """Return an empty answer to the same request, whose guide keeps what can be written."""
        return PartialAnswer(request=self.request, guide=None if self.guide is None else self.guide.begun_again())

    def length(self) -> tuple[int, int]:
        """Return the numbers of pictures and of characters; questions of similar length are read together."""
        parts = [part["text"] for message in self.request.messages for part in message["content"] if "text" in part]
        return len(self.request.images), sum(map(len, parts))

    def write(self, token: int, logprob: float, end_tokens: Container[int]) -> None:
        """Add a token, or end the turn.

        Args:
            token: Id of the token.
            logprob: Log-probability of the token.
            end_tokens: Tokens that end the turn.
        """
        if token in end_tokens:
            self.end_token = token
            return
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if self.guide is not None:
            self.guide.write(token)
