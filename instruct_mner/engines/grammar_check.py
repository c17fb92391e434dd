"""The check of a finished answer against its grammar; without torch, since answers of servers are checked too."""

from __future__ import annotations

from typing import Literal

from llguidance import LLMatcher, LLTokenizer

from instruct_mner.engines.engine import Request

GrammarState = Literal["whole", "begun", "broken"]


def grammar_state(grammar: str, text: str) -> GrammarState:
    """Return how far an answer keeps to a grammar: as a whole answer, as the beginning of one, or not at all.

    Bytes take the place of tokens, so that no tokenizer is needed.

    Args:
        grammar: Lark grammar.
        text: Answer; a character that was cut is U+FFFD.
    """
    matcher = LLMatcher(LLTokenizer("byte"), grammar, log_level=0)
    # Some servers drop the space that an answer begins with.
    for answer in (text, f" {text}"):
        written = list(answer.rstrip("\ufffd").encode(errors="replace"))
        if matcher.validate_tokens(written) == len(written) and matcher.consume_tokens(written):
            return "whole" if matcher.is_accepting() and not text.endswith("\ufffd") else "begun"
        matcher.reset()
    return "broken"


def answer_state(request: Request, text: str) -> GrammarState:
    """Return how far an answer keeps to the grammar of its request.

    Where occurrences are counted, an answer in lines that has named all there is ends behind a line.

    Args:
        request: Request with a grammar.
        text: Answer; a character that was cut is U+FFFD.
    """
    assert request.grammar is not None
    state = grammar_state(request.grammar, text)
    if state == "begun" and request.rest is not None and text.endswith("\n"):
        further = request.rest(text)
        if further is not None and grammar_state(further.grammar, further.behind) == "whole":
            return "whole"
    return state
