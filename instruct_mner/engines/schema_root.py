"""Answers of a JSON schema as a list in an object: OpenAI takes no other root than an object.

Source: https://platform.openai.com/docs/guides/structured-outputs (Supported schemas)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from instruct_mner.engines.engine import Completion

_NAME = "entities"
_OPENING = re.compile(rf'\s*\{{\s*"{_NAME}"\s*:\s*')
_CLOSING = re.compile(r"(?<=\])\s*\}\s*\Z")


def in_object(schema: Mapping[str, object]) -> dict[str, object]:
    """Return the schema of an object with a list of some schema, and nothing else."""
    return {"type": "object", "properties": {_NAME: schema}, "required": [_NAME], "additionalProperties": False}


def list_alone(completion: Completion) -> Completion:
    """Return an answer without the object around its list; one of a server that wrote the list alone as it is."""
    opening = _OPENING.match(completion.text)
    if opening is None:
        return completion
    # Where an answer is cut, the last brace may be that of an entity.
    closing = _CLOSING.search(completion.text) if completion.finished else None
    begin, end = opening.end(), len(completion.text) if closing is None else closing.start()
    tokens = tuple(
        replace(token, start=max(token.start, begin) - begin, end=min(token.end, end) - begin)
        for token in completion.tokens
        if token.start < end and token.end > begin
    )
    return replace(completion, text=completion.text[begin:end], tokens=tokens)
