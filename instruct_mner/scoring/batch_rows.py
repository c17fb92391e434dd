r"""Rows of the outputs of batch APIs as rows of an id and an answer.

A row of OpenAI's, which ``vllm run-batch`` writes too, of Anthropic's, and a chat completion alone (shortened)::

    {"custom_id": "7", "response": {"status_code": 200, "body": {"choices": [{"message": {"content": "[]"}}]}}}
    {"custom_id": "7", "result": {"type": "succeeded", "message": {"content": [{"type": "text", "text": "[]"}]}}}
    {"choices": [{"message": {"content": "[]"}}]}

Source: https://platform.openai.com/docs/guides/batch,
https://github.com/vllm-project/vllm/blob/main/vllm/entrypoints/launchers/run_batch.py (``BatchRequestOutput``),
https://docs.claude.com/en/docs/build-with-claude/batch-processing
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instruct_mner.scoring.posts_of_rows import Row

_FAILED = "; make it again, and put its answer in the place of this row"


def plain_row(row: Row) -> Row:
    """Return a row of a batch API with its ``id`` and ``response``; any other row as it is.

    Raises:
        ValueError: The request failed, or its response holds no message.
    """
    message = _message(row)
    if message is None:
        return row
    known = {"id": row["custom_id"]} if "custom_id" in row else {}
    return {**known, "response": _text(message)}


def _message(row: Row) -> Any:
    """Return the message of the assistant; ``None`` for a row that is of no such API."""
    if "custom_id" in row and "result" in row:
        result = row["result"]
        if not isinstance(result, Mapping) or result.get("type") != "succeeded":
            raise ValueError(f"the request failed: {_short(result)}{_FAILED}")
        return result.get("message", {})
    if "custom_id" in row and "response" in row:
        response = row["response"]
        if isinstance(response, str):
            return {"content": response}  # a row that somebody made of one
        if row.get("error") or not isinstance(response, Mapping) or response.get("status_code", 200) != 200:
            raise ValueError(f"the request failed: {_short(row.get('error') or response)}{_FAILED}")
        return _only_choice(response.get("body"))
    return _only_choice(row) if isinstance(row.get("choices"), list) else None


def _only_choice(completion: Any) -> Any:
    choices = completion.get("choices") if isinstance(completion, Mapping) else None
    messages = [each.get("message") for each in choices or () if isinstance(each, Mapping)]
    if len(messages) > 1:
        raise ValueError(f"the response holds {len(messages)} choices, and one is scored; keep one of them")
    if not messages or not isinstance(messages[0], Mapping):
        raise ValueError(f"the response holds no message of a chat: {_short(completion)}")
    return messages[0]


def _text(message: Row) -> str:
    """Return the text of a message: its parts together, or why the model refused, which is no answer either."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return str(content or message.get("refusal") or "")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
