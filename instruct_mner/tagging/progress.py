"""Progress of a run over posts, with its rate and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from instruct_mner.console import working

if TYPE_CHECKING:
    from rich.console import Console

_Record = TypeVar("_Record")


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
    """Draw records through to their end, show the progress, and print a line of the result.

    Args:
        records: ``None`` for each that an earlier run had made, then those of this one.
        num_posts: All posts.
        console: Console of the result.
        doing: Present participle of the work, as "tagging".
        done: Past participle of the work, as "tagged".
        count_rejected: Returns the number of rejected items of a record.
        clock: Clock in seconds, by which the rate is measured.
    """
    rejected = tagged = earlier = 0
    begun = clock()
    with working(doing, num_posts) as work:
        for record in records:
            if record is None:
                earlier += 1
                continue
            tagged += 1
            rejected += count_rejected(record)
            work.advance(earlier + tagged, describe_pace(tagged, clock() - begun, num_posts - earlier - tagged))
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
