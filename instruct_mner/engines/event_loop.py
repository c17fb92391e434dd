"""Coroutines from code that is not asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_in_thread(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end in a thread of its own: a notebook has an event loop already, and one thread runs only one.

    Ctrl-C cancels what is under way, instead of waiting for it.
    """
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Result]]] = []

    def run() -> Result:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            running.append((loop, loop.create_task(coroutine)))
            return loop.run_until_complete(running[0][1])

    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(run).result()
        except KeyboardInterrupt:
            for loop, task in running:
                with suppress(RuntimeError):  # it has ended
                    loop.call_soon_threadsafe(task.cancel)
            raise
