"""Guide of an answer while it is written: what may come next, with the grammar behind each entity made anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from llguidance import LLMatcher

Allowed = np.ndarray[Any, np.dtype[np.uint8]]


def allowed_by(matcher: LLMatcher) -> Allowed:
    """Return what a grammar allows next, a bit each in bytes."""
    return np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8).copy()


class Further(NamedTuple):
    """Grammar of what may follow a part of an answer.

    Attributes:
        grammar: Lark grammar.
        behind: Text that is written behind that part already, since a token may go on past it.
    """

    grammar: str
    behind: str


class Rest(Protocol):
    """Maker of the grammars behind the parts of an answer."""

    @property
    def mark(self) -> bytes:
        """A byte that every token has with which a part ends."""

    def __call__(self, written: str) -> Further | None:
        """Return the grammar of what may follow; ``None`` keeps the one there is.

        Args:
            written: The answer so far.
        """


@dataclass
class _Stage:
    """Matcher of a part of the answer, and the number of tokens that it has taken."""

    matcher: LLMatcher
    num_tokens: int = 0


class Guide:
    """Grammar of one answer, which may be narrower behind an entity than the grammar of the whole answer.

    A token may go on past the end of an entity, as ``"},`` does in JSON. It can be written where the grammar behind
    that entity admits the rest of it.

    Where a narrower grammar fails (llguidance has used up its budget), that of the whole answer goes on from there:
    mentions are not counted any more, and the parser drops what is written too often. Where that one fails too,
    :attr:`failed` is true, and the answer is no whole one.

    Args:
        tokenizer: Tokenizer of llguidance.
        grammar: Grammar of the whole answer.
        rest: Maker of the narrower grammars; ``None`` makes none.
        executor: Threads in which narrower grammars are made while others go on; without it they are made at once.

    Attributes:
        kept: Tokens that could be written at each place so far, a bit each, where a training needs them.
    """

    def __init__(
        self, tokenizer: Any, grammar: str, rest: Rest | None = None, executor: Executor | None = None
    ) -> None:
        self._tokenizer, self._grammar, self._rest, self._executor = tokenizer, grammar, rest, executor
        self._stages = [_Stage(LLMatcher(tokenizer, grammar, log_level=0))]
        self._tokens: list[int] = []
        self._num_behind_end = 0
        self.kept: list[Allowed] | None = None
        self._further: Future[LLMatcher | None] | None = None
        self._latest: tuple[str, LLMatcher] | None = None

    @property
    def matcher(self) -> LLMatcher:
        """The grammar that says what may be written next."""
        if self._further is not None:
            matcher, self._further = self._further.result(), None
            if matcher is not None and not matcher.is_error() and not self._stages[-1].matcher.is_error():
                self._stages.append(_Stage(matcher))
        return self._stages[-1].matcher

    @property
    def failed(self) -> bool:
        """Return whether no grammar is left that says what may be written next."""
        return bool(self.matcher.is_error()) and not self._recovers()

    def write(self, token: int) -> bool:
        """Move on by one token; behind the end of an answer nothing moves.

        Returns:
            False where the token may not be written; nothing moves then.
        """
        if self.matcher.is_stopped() and not self._recovers():
            self._num_behind_end += 1
            return True
        if not self._takes(token):
            return False
        self.matcher.consume_token(token)
        self._tokens.append(token)
        self._stages[-1].num_tokens += 1
        if self.matcher.is_error():
            self._recovers()
        elif self.may_end_entity(token):
            self._further = self._submit(self._written())
        return True

    def may_end_entity(self, token: int) -> bool:
        """Return whether the grammar may change behind a token."""
        return self._rest is not None and self._rest.mark in self._tokenizer.decode_bytes([token])

    def admits(self, *tokens: int) -> bool:
        """Return whether the last of some tokens, if it goes on past an entity, does so as the grammar there allows.

        Args:
            tokens: Tokens that the grammar allows, none of which but the last ends an entity.
        """
        *before, last = tokens
        goes_past = self._rest is not None and self._rest.mark in self._tokenizer.decode_bytes([last])[:-1]
        return not (goes_past and self._refused([last], before))

    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens, over the ends of entities too.

        Args:
            num_tokens: Number of tokens, those behind the end of the answer among them.
        """
        idle = min(num_tokens, self._num_behind_end)
        self._num_behind_end -= idle
        left = num_tokens - idle
        if left:
            self._further = None
        while left:
            stage = self._stages[-1]
            part = min(left, stage.num_tokens)
            stage.matcher.rollback(part)
            stage.num_tokens -= part
            left -= part
            if left:
                self._stages.pop()
        del self._tokens[len(self._tokens) - (num_tokens - idle) :]

    def reset(self) -> None:
        """Go back to the beginning of the answer."""
        self.rollback(len(self._tokens) + self._num_behind_end)

    def begun_again(self) -> Guide:
        """Return a guide of the same grammar at the beginning of an answer, which keeps what can be written.

        No grammar is compiled again.
        """
        guide = copy(self)
        first = self._stages[0].matcher.deep_copy()
        first.reset()
        guide._stages, guide._tokens, guide._num_behind_end, guide._further = [_Stage(first)], [], 0, None
        guide.kept, guide._latest = [], None
        return guide

    def mask(self, compute: Callable[[LLMatcher], Allowed] = allowed_by) -> Allowed:
        """Return what may be written next, a bit each in bytes.

        Args:
            compute: Function that asks a matcher for it; what it returns is written to.
        """
        mask = compute(self.matcher)
        if self._recovers():
            mask = compute(self.matcher)
        if self._rest is not None:
            past = _going_past(self._tokenizer, self._rest.mark)
            past = past[past // 8 < len(mask)]
            # What ends an entity can be written without what follows it too, so something is left.
            for token in self._refused(past[mask[past // 8] >> past % 8 & 1 == 1].tolist()):
                mask[token // 8] &= 255 ^ (1 << token % 8)
        return mask

    def _takes(self, token: int) -> bool:
        if self.matcher.validate_tokens([token]) == 1:
            return self.admits(token)
        return self._recovers() and bool(self.matcher.validate_tokens([token]) == 1)

    def _refused(self, tokens: Sequence[int], before: Sequence[int] = ()) -> list[int]:
        """Return the tokens that go on past an entity with what the grammar behind that entity does not admit."""
        refused = list[int]()
        for token in tokens:
            further = None if self._rest is None else self._rest(self._written(*before, token))
            if further is None:
                continue
            matcher = self._compiled(further.grammar)
            behind = self._tokenizer.tokenize_bytes(further.behind.encode())
            if not matcher.is_error() and matcher.validate_tokens(behind) < len(behind):
                refused.append(token)
        return refused

    def _compiled(self, grammar: str) -> LLMatcher:
        """Return the matcher of a narrower grammar at its beginning; the latest is kept, for several ask for it."""
        latest, matcher = self._latest or ("", None)
        if matcher is None or latest != grammar:
            matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
            self._latest = grammar, matcher
        return matcher

    def _written(self, *further: int) -> str:
        """Return the answer so far, and behind it some tokens."""
        return str(self._tokenizer.decode_bytes([*self._tokens, *further]).decode(errors="replace"))

    def _submit(self, written: str) -> Future[LLMatcher | None]:
        if self._executor is not None:
            return self._executor.submit(self._make, written)
        further: Future[LLMatcher | None] = Future()
        further.set_result(self._make(written))
        return further

    def _make(self, written: str) -> LLMatcher | None:
        further = None if self._rest is None else self._rest(written)
        if further is None:
            return None
        matcher = self._compiled(further.grammar).deep_copy()
        # Where the narrower grammar does not admit it, the matcher has an error, and the one there is goes on.
        matcher.consume_tokens(self._tokenizer.tokenize_bytes(further.behind.encode()))
        return matcher

    def _recovers(self) -> bool:
        """Put the grammar of the whole answer in the place of one that has failed; tell whether that was done."""
        if len(self._stages) == 1 or not self.matcher.is_error():
            return False
        whole = LLMatcher(self._tokenizer, self._grammar, log_level=0)
        if not whole.consume_tokens(self._tokens) or whole.is_error():
            return False
        self._stages, self._rest, self._further = [_Stage(whole, len(self._tokens))], None, None
        return True


@lru_cache(maxsize=8)
def _going_past(tokenizer: Any, mark: bytes) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the tokens with a byte and more behind it."""
    texts = map(tokenizer.decode_bytes, ([token] for token in range(tokenizer.vocab_size)))
    return np.array([token for token, text in enumerate(texts) if mark in text[:-1]], dtype=np.int64)
