"""Output on the terminal: progress of a run over posts, without the libraries' own notes."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


def quiet_libraries() -> None:
    """Let only errors of the libraries through; called before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in ("peft", "trl", "accelerate", "bitsandbytes", "datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for module in ("transformers", "trl", "peft", "torch"):
        warnings.filterwarnings("ignore", module=rf"{module}\.")


_Record = TypeVar("_Record")
_SECONDS_BETWEEN_LINES = 30.0


def report(
    records: Iterable[_Record | None],
    num_posts: int,
    console: Console,
    *,
    doing: str = "tagging",
    done: str = "tagged",
    count_rejected: Callable[[_Record], int] = lambda record: 0,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Draw records through to their end, and print the progress.

    Args:
        records: ``None`` for each that an earlier run had made, then those of this one.
        num_posts: All posts.
        console: Console of the progress.
        doing: Present participle of the work, as "tagging".
        done: Past participle of the work, as "tagged".
        count_rejected: Returns the number of rejected items of a record.
        clock: Clock in seconds, by which the rate is measured.
    """
    bar = Progress(
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        console=console,
        disable=not console.is_terminal,
    )
    task = bar.add_task(doing, total=num_posts, pace="")
    rejected = tagged = earlier = 0
    begun, last_line = clock(), None
    with bar:
        for record in records:
            if record is None:
                earlier += 1
                continue
            tagged += 1
            rejected += count_rejected(record)
            now = clock()
            pace = describe_pace(tagged, now - begun, num_posts - earlier - tagged)
            bar.update(task, completed=earlier + tagged, pace=pace)
            last_line = now if last_line is None else last_line
            if not console.is_terminal and now - last_line >= _SECONDS_BETWEEN_LINES:
                last_line = now
                console.print(f"{earlier + tagged}/{num_posts} posts, {pace}")
    rate = f", {tagged / (clock() - begun):.1f} posts/s" if tagged else ""
    console.print(
        f"{tagged} posts {done}{rate}"
        + (f", {earlier} done before" if earlier else "")
        + (f"; {rejected} items of answers were rejected" if rejected else "")
    )


def describe_pace(tagged: int, seconds: float, num_left: int) -> str:
    """Return ``12.5 posts/s, 0:03:20 left``, by the mean of this run, the loading of the model within it."""
    if seconds <= 0:
        return ""
    rate = tagged / seconds
    return f"{rate:.1f} posts/s, {timedelta(seconds=round(num_left / rate))} left"
