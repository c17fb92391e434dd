"""Answers of chat models without what stands around them: a thought in front, and a Markdown fence."""

from __future__ import annotations

import re

THINKS = "<think>"
"""Beginning of a thought; the templates of some models write it into the prompt."""

_HAS_THOUGHT = "</think>"
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


def bare_answer(answer: str) -> str | None:
    """Return an answer without the thought before it and the fence around it; ``None`` where it ends in a thought."""
    thought, ended, behind = answer.partition(_HAS_THOUGHT)
    if not ended and thought.lstrip().startswith(THINKS):
        return None
    answer = behind if ended else thought
    fenced = _FENCE.search(answer)
    return (fenced.group(1) if fenced else answer).strip()
