"""Turns of a conversation, of any of its spellings, as texts in which pictures have their places.

A picture in the content of a message becomes ``<img>7.jpg</img>``, as Qwen-VL writes it, and one without a name
``<image>``, which stands for one of the row's ``images``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from instruct_mner.data.importing.generic import to_names

Turn = tuple[str, str]
"""Role and text of a message."""

USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
IMAGE = "<image>"

_ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), USER),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bing", "bard", "bot", "model"), ASSISTANT),
    **dict.fromkeys(("system", "developer"), SYSTEM),
}
LISTS = ("messages", "conversations", "conversation")
"""Columns of a list of messages."""
_FIELDS = frozenset({"role", "from", "content", "value"})
_PICTURES = ("image", "image_url", "url", "path", "source")


def turns_of(row: Mapping[str, object], left_out: Counter[str]) -> tuple[list[Turn], frozenset[str]]:
    """Return the turns of a row, and the columns that they stand in.

    Args:
        row: The row.
        left_out: Counts of what is not read, which are added to.

    Raises:
        ValueError: They are no messages.
    """
    lists = [name for name in LISTS if row.get(name) is not None]
    if len(lists) > 1:
        raise ValueError(f"the row has messages in both {lists[0]!r} and {lists[1]!r}; keep those of one")
    if lists:
        messages = row[lists[0]]
        if not isinstance(messages, list) or not all(isinstance(each, Mapping) for each in messages):
            raise ValueError(f"{lists[0]!r} is no list of messages but {str(messages)[:60]!r}")
        return [_turn(each, left_out) for each in messages], frozenset(lists)
    questions, answer = (("query",), "response") if "query" in row else (("instruction", "input"), "output")
    question = "\n".join(_as_text(row[name]) for name in questions if row.get(name))
    pairs = [*_history(row), (question, row.get(answer))]
    turns = [turn for asked, answered in pairs for turn in ((USER, _as_text(asked)), (ASSISTANT, _as_text(answered)))]
    return turns, frozenset({*questions, answer, "history"})


def _history(row: Mapping[str, object]) -> list[tuple[Any, Any]]:
    """Return the earlier questions of a row with their answers."""
    history = row.get("history") or []
    if not isinstance(history, list) or not all(isinstance(each, list) and len(each) == 2 for each in history):
        raise ValueError(f"'history' is no list of questions and their answers but {str(history)[:60]!r}")
    return [(question, answer) for question, answer in history]


def _turn(message: Mapping[str, Any], left_out: Counter[str]) -> Turn:
    unread = (name for name, value in message.items() if name not in _FIELDS and value not in (None, "", []))
    left_out.update(f"field(s) {name!r} of messages" for name in unread)
    who = str(_filled(message, "role", "from"))
    content = _filled(message, "content", "value")
    parts = content if isinstance(content, list) else [_as_text(content)]
    return _ROLES.get(who.lower(), who), "".join(_part(each, left_out) for each in parts)


def _filled(message: Mapping[str, Any], *names: str) -> Any:
    return next((message[name] for name in names if message.get(name) is not None), "")


def _part(part: Any, left_out: Counter[str]) -> str:
    """Return a part of a message as text."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise ValueError(f"a part of a message is neither a text nor an object but {str(part)[:60]!r}")
    kind, text = part.get("type"), _as_text(part.get("text"))
    if "image" in str(kind) or (kind is None and part.keys() & {"image", "image_url"}):
        names = to_names(next((part[name] for name in _PICTURES if part.get(name)), None))
        return ("".join(f"<img>{name}</img>" for name in names) or IMAGE) + text
    if "text" not in part:
        left_out[f"part(s) of messages of the type {kind!r}"] += 1
    return text


def _as_text(value: object) -> str:
    """Return a text as it is, nothing as an empty one, and other values as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
