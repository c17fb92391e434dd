"""Refusals of servers: what they say, what to do about it, and settings that they do not know."""

from __future__ import annotations

from collections.abc import Mapping

from openai import APIStatusError

from instruct_mner.engines.retries import TOO_MANY_REQUESTS
from instruct_mner.errors import ServingError

# Of models that think, OpenAI takes neither a temperature nor this bound; an answer ends without one, too.
_OPTIONAL = frozenset({"max_tokens", "temperature", "seed"})
_UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value"})
_REMEDIES = {
    401: "set OPENAI_API_KEY",
    403: "set OPENAI_API_KEY to a key that may use this model",
    404: "check --endpoint, and --model against the models that it serves",
    TOO_MANY_REQUESTS: "lower --concurrency",
}


def unsupported_setting(error: APIStatusError, body: Mapping[str, object]) -> str | None:
    """Return the setting of a request that is refused and can be left out; ``None`` for any other refusal.

    Args:
        error: Refusal of the server.
        body: Arguments of the request.
    """
    known = error.code in _UNSUPPORTED and error.param in _OPTIONAL and error.param in body
    return error.param if known else None


def refusal(error: APIStatusError, base_url: str, model: str) -> ServingError:
    """Return the message on a refusal, in the words of the server, with what to do."""
    said = error.body if isinstance(error.body, dict) else {}
    reason = str(said.get("message") or error.message)
    remedy = _REMEDIES.get(
        error.status_code, "if it is the constraint that it does not know, choose another --constraint (schema, none)"
    )
    if "logprobs" in reason:
        remedy = "with --no-scores (Python: scores=False) it is used without, and every score is 1"
    return ServingError(
        f"{base_url} refuses model '{model}': HTTP {error.status_code}: {reason}; {remedy}",
        status=error.status_code,
        response=reason,
    )
