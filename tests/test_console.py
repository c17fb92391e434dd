from __future__ import annotations

import io

from rich.console import Console

from instruct_mner.console import describe_pace, report
from instruct_mner.schema.records import Prediction, Rejected

FOUND = Prediction(id="1", text="x", rejected=Rejected(malformed=1))


def test_a_log_gets_a_line_now_and_then() -> None:
    written = io.StringIO()
    seconds = iter(range(0, 10_000, 10))
    report(
        [None, None, *[FOUND] * 8],
        10,
        Console(file=written, width=200),
        count_rejected=lambda prediction: prediction.rejected.total,
        clock=lambda: float(next(seconds)),
    )
    lines = written.getvalue().strip().split("\n")
    assert lines[0] == "6/10 posts, 0.1 posts/s, 0:00:40 left"
    assert len(lines) == 3
    assert lines[-1] == "8 posts tagged, 0.1 posts/s, 2 done before; 8 items of answers were rejected"


def test_a_terminal_gets_a_bar() -> None:
    written = io.StringIO()
    report([FOUND] * 4, 4, Console(file=written, width=200, force_terminal=True, color_system=None))
    assert "4/4" in written.getvalue()
    assert "posts/s" in written.getvalue()


def test_pace() -> None:
    assert describe_pace(50, 4.0, 2500) == "12.5 posts/s, 0:03:20 left"
    assert describe_pace(1, 0.0, 5) == ""
