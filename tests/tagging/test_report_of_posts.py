from __future__ import annotations

import io

from rich.console import Console

from instruct_mner.schema.records import Prediction, Rejected
from instruct_mner.tagging.progress import describe_pace, report

FOUND = Prediction(id="1", text="x", rejected=Rejected(malformed=1))


def test_the_result_is_one_line() -> None:
    written = io.StringIO()
    seconds = iter(range(0, 10_000, 10))
    report(
        [None, None, *[FOUND] * 8],
        10,
        Console(file=written, width=200),
        count_rejected=lambda prediction: prediction.rejected.total,
        clock=lambda: float(next(seconds)),
    )
    assert written.getvalue() == "8 posts tagged, 0.1 posts/s, 2 done before; 8 items of answers were rejected\n"


def test_pace() -> None:
    assert describe_pace(50, 4.0, 2500) == "12.5 posts/s, 0:03:20 left"
    assert describe_pace(1, 0.0, 5) == ""
