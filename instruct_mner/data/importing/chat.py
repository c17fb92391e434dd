r"""Conversations: UniversalNER's questions are known; elsewhere the user says where the text stands.

UniversalNER, and a row of ShareGPT, LLaMA-Factory or ms-swift (shortened)::

    {"conversations": [{"from": "human", "value": "Text: Anna left"}, {"from": "gpt", "value": "I've read this text."},
      {"from": "human", "value": "What describes PER in the text?"}, {"from": "gpt", "value": "[\"Anna\"]"}]}
    {"instruction": "List the entities.", "input": "Anna left", "output": "[{\"text\": \"Anna\", \"label\": \"PER\"}]"}
    {"messages": [{"role": "user", "content": "<image>Types: PER. Post: Anna left"},
      {"role": "assistant", "content": "[{\"text\": \"Anna\", \"label\": \"PER\", \"box\": <bbox>}]"}],
      "images": ["7.jpg"], "objects": {"ref": ["Anna"], "bbox": [[10, 20, 60, 80]]}}

Boxes of ms-swift's ``objects`` are those of the mention that ``ref`` names, or stand where ``<bbox>`` does.

Source: https://universal-ner.github.io, https://github.com/hiyouga/LLaMA-Factory/tree/main/data,
https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from instruct_mner.data.importing import grounding
from instruct_mner.data.importing.generic import to_names
from instruct_mner.data.importing.posts import Mark, RawPost, to_marks
from instruct_mner.data.lenient import loads

Turn = tuple[str, str]

_KNOWN = frozenset({
    "messages", "conversations", "conversation", "query", "response", "instruction", "input", "output", "history",
    "system", "images", "image", "id", "objects", "tools", "videos", "audios", "rejected_response",
})  # fmt: skip
_USERS = frozenset({"user", "human"})
_QUESTION = re.compile(r"What describes (.+?) in the text\?")
_TEXT = "Text: "
HOW_TO_SAY = (
    "say what stands before the text of the post: --text-after 'Post: ' (instruct-mner import); the last answer must "
    'be a JSON list, [{"text": "Anna", "label": "PER"}]'
)


def of_chat(row: Mapping[str, Any], where: str, text_after: str | None) -> RawPost:
    """Read a conversation.

    Args:
        row: The row.
        where: File and row, for messages.
        text_after: Words in the message of the user after which the text of the post begins.

    Raises:
        ValueError: Where text and answer stand is not known, or the answer is no list of entities.
    """
    objects = grounding.objects_of(row)
    turns = grounding.filled(_turns(row), objects)
    questions = [message for who, message in turns if who in _USERS]
    images = to_names(row.get("images", row.get("image")))
    identifier = row.get("id")
    if text_after is None and questions and questions[0].startswith(_TEXT) and _QUESTION.search("\n".join(questions)):
        text = questions[0][len(_TEXT) :]
        marks = grounding.with_boxes(_universal(turns), objects)
        return RawPost(where=where, id=identifier, text=text, marks=marks, images=images, meta=_meta(row))
    if text_after is None and not (isinstance(row.get("input"), str) and row["input"].strip() and "output" in row):
        raise ValueError(f"where in this conversation the text stands nobody can tell; {HOW_TO_SAY}")
    text = _after(questions, text_after) if text_after is not None else row["input"]
    answer = next((message for who, message in reversed(turns) if who not in _USERS and who != "system"), "")
    try:
        marks = to_marks(loads(answer))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the answer {answer[:60]!r} is no JSON list of entities ({error}); {HOW_TO_SAY}") from None
    return RawPost(
        where=where,
        id=identifier,
        text=text,
        marks=grounding.with_boxes(marks, objects),
        images=images,
        meta=_meta(row),
    )


def _meta(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that are no part of the conversation."""
    return {name: value for name, value in row.items() if name not in _KNOWN and value is not None}


def _turns(row: Mapping[str, Any]) -> list[Turn]:
    messages = row.get("messages", row.get("conversations", row.get("conversation")))
    if isinstance(messages, list) and all(isinstance(each, dict) for each in messages):
        return [(str(_of(turn, "role", "from")), _joined(_of(turn, "content", "value"))) for turn in messages]
    if "query" in row:
        return [("user", str(row["query"])), ("assistant", str(row.get("response", "")))]
    question = "\n".join(str(row[key]) for key in ("instruction", "input") if row.get(key))
    return [("user", question), ("assistant", str(row.get("output", "")))]


def _of(turn: Mapping[str, Any], *names: str) -> Any:
    return next((turn[name] for name in names if turn.get(name) is not None), "")


def _joined(content: Any) -> str:
    """Return the text of a message, whose content may be a list of parts of which some are pictures."""
    if not isinstance(content, list):
        return str(content)
    return "".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)


def _after(questions: Sequence[str], mark: str) -> str:
    last = next((message for message in reversed(questions) if mark in message), None)
    if last is None:
        raise ValueError(f"no message of the user holds {mark!r}; {HOW_TO_SAY}")
    return last.rpartition(mark)[2].strip()


def _universal(turns: Sequence[Turn]) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    for (who, question), (_, answer) in pairwise(turns):
        match = _QUESTION.search(question)
        if who not in _USERS or match is None:
            continue
        try:
            surfaces = loads(answer)
        except (ValueError, RecursionError):
            raise ValueError(f"the answer {answer[:60]!r} is no JSON list of texts") from None
        marks += [Mark(start=None, end=None, surface=str(surface), label=match.group(1)) for surface in surfaces]
    return tuple(marks)
