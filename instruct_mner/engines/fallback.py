"""A second answer, without a constraint, where the grammar of the first one failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from instruct_mner.engines.engine import Completion, Engine, Request


def unconstrained(request: Request) -> Request:
    """Return the same request, with any answer allowed."""
    return replace(request, grammar=None, schema=None)


def after_failure(completion: Completion) -> Completion:
    """Return the second answer, marked so that the failure of the first one is counted."""
    return replace(completion, failed=True)


def generate_with_fallback(engine: Engine, requests: Sequence[Request]) -> list[Completion]:
    """Answer requests in their order; those whose grammars fail are answered again without a constraint.

    A grammar fails where llguidance has used up its budget. What was written until then is no answer.

    Args:
        engine: Engine that answers.
        requests: Requests.

    Returns:
        Completions; ``failed`` stays set on those that were answered again.
    """
    completions = engine.generate(requests)
    places = [place for place, completion in enumerate(completions) if completion.failed]
    if places:
        again = engine.generate([unconstrained(requests[place]) for place in places])
        for place, completion in zip(places, again, strict=True):
            completions[place] = after_failure(completion)
    return completions
