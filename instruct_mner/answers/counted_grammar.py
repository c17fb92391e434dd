"""Grammars that carry what is needed to count occurrences, for engines to which nothing but a grammar can be sent.

It stands in a comment, so that an engine that does not count (vLLM without this package) reads the same grammar as
before. The engine that does count is ``vllm_runtime/plugin.py``::

    %llguidance {}
    // instruct-mner counts occurrences: {"text": "Ann met Bo", "num_images": 0, "spec": {"format": "lines", …}}
    start: …
"""

from __future__ import annotations

import json
import re

from pydantic import Field, ValidationError

from instruct_mner.answers.occurrences import RestOfAnswer, rest_of_answer
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.record import Record

MOST_CHARACTERS = 8_000
"""Longer texts are not counted: the grammar behind each entity takes a server a tenth of a second and more."""

# Strangers can send such comments too.
_MOST_LABELS, _LARGEST_COORDINATE, _MOST_IMAGES = 1_000, 99_999, 1_000
_COMMENT = "// instruct-mner counts occurrences: "
_COMMENTED = re.compile(rf"^{re.escape(_COMMENT)}(.+)$", re.MULTILINE)


class _Counted(Record):
    """Contents of the comment."""

    text: str = Field(max_length=MOST_CHARACTERS)
    num_images: int = Field(ge=0, le=_MOST_IMAGES)
    spec: AnswerSpec


def with_counting(grammar: str, rest: RestOfAnswer | None) -> str:
    """Return a grammar that carries what is needed to count, where that is known and the text is not too long."""
    if rest is None or len(rest.text) > MOST_CHARACTERS:
        return grammar
    # Definitions are for the prompt.
    spec = rest.spec.with_labels(LabelSet.of(rest.spec.labels.names))
    carried = {"text": rest.text, "num_images": rest.num_images, "spec": spec.model_dump(mode="json")}
    head, _, rules = grammar.partition("\n")
    return f"{head}\n{_COMMENT}{json.dumps(carried)}\n{rules}"


def counting_of(grammar: str) -> RestOfAnswer | None:
    """Return what makes the grammars behind the entities of an answer; ``None`` where a grammar carries nothing of it.

    A comment that cannot be read, of another version or by a stranger, is none: the grammar is one without it.
    """
    match = _COMMENTED.search(grammar)
    if match is None:
        return None
    try:
        carried = _Counted.model_validate_json(match.group(1))
    except ValidationError:
        return None
    spec = carried.spec
    if len(spec.labels.names) > _MOST_LABELS or spec.box_limit > _LARGEST_COORDINATE:
        return None
    return rest_of_answer(spec, carried.text, carried.num_images)
