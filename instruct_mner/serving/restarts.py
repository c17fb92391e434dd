"""Restarts of vLLM: the gateway stays, says 503, and is ready again when vLLM is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instruct_mner.errors import EngineEndedError, MnerError
from instruct_mner.schema.choices import Restart
from instruct_mner.vllm_runtime.process import describe_status

if TYPE_CHECKING:
    from instruct_mner.serving.lifecycle import Lifecycle
    from instruct_mner.vllm_runtime.process import VllmProcess

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """Settings of restarts.

    Attributes:
        when: ``never``: the server ends with vLLM; ``on-failure``: vLLM is started again.
        most: Restarts one after the other, at most, without a time of ``healthy_seconds`` between them.
        first_seconds: Pause before the first of them; each further one is twice as long.
        longest_seconds: Longest pause.
        healthy_seconds: Time after which a vLLM counts as one that does not fail.
        poll_seconds: Time between two looks at the process.
    """

    when: Restart = "never"
    most: int = 5
    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    healthy_seconds: float = 300.0
    poll_seconds: float = 0.5


async def keep_running(
    vllm: VllmProcess, policy: RestartPolicy, wait_until_ready: Callable[[], None], lifecycle: Lifecycle
) -> None:
    """Watch vLLM, and start it again where the policy says so; until it is cancelled.

    Args:
        vllm: Process of vLLM.
        policy: Settings of restarts.
        wait_until_ready: Function that waits until vLLM is ready, and checks it; it raises an ``MnerError`` where it
            ends instead, or does not do what it must. It runs in a thread.
        lifecycle: State of the server.

    Raises:
        EngineEndedError: vLLM has ended, and is not started again.
    """
    failures, begin = 0, time.monotonic()
    failed: Exception | None = None
    while True:
        while vllm.is_running:
            await asyncio.sleep(policy.poll_seconds)
        if time.monotonic() - begin > policy.healthy_seconds:
            failures = 0
        if policy.when == "never" or failures >= policy.most:
            raise vllm.ended() if failed is None else EngineEndedError(f"vLLM is not started again: {failed}")
        how = describe_status(vllm.exit_status) if failed is None else "was not started again"
        tries = f"restart {failures + 1} of {policy.most}"
        pause = min(policy.longest_seconds, policy.first_seconds * 2**failures)
        _log.warning("vLLM %s; it is started again in %g seconds (%s)", how, pause, tries)
        lifecycle.is_starting = True
        await asyncio.sleep(pause)
        failed = await _restart(vllm, wait_until_ready, lifecycle)
        failures, begin = failures + 1, time.monotonic()


async def _restart(vllm: VllmProcess, wait_until_ready: Callable[[], None], lifecycle: Lifecycle) -> Exception | None:
    """Start vLLM again; where it does not come up, end it, and return the error unless its own end says more."""
    try:
        await asyncio.to_thread(vllm.start)
        await asyncio.to_thread(wait_until_ready)
    except (MnerError, OSError) as error:  # the second: no process can be started, for want of memory
        _log.warning("%s", error)
        has_ended = isinstance(error, MnerError) and not vllm.is_running
        await asyncio.to_thread(vllm.stop)
        return None if has_ended else error
    lifecycle.note_token()
    lifecycle.is_starting = False
    _log.warning("vLLM is ready again")
    return None
