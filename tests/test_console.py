from __future__ import annotations

import io
import sys
import time

import pytest

from instruct_mner.console import SECONDS_VARIABLE, Display, Work, displayed, name_work, stop_display, tracked, working


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_where_nothing_was_written_for_a_while() -> None:
    written = io.StringIO()
    display = Display("tag: loading starter", written, seconds=1.5)
    now = time.monotonic()
    display.tick(now + 1.0)
    assert written.getvalue() == ""
    display.tick(now + 2.0)
    display.tick(now + 3.0)
    display.tick(now + 4.0)
    assert written.getvalue() == "tag: loading starter, 2 s\ntag: loading starter, 4 s\n"


def test_works_within_works_stand_in_one_line() -> None:
    display = Display("finetune", io.StringIO())
    now = time.monotonic()
    training, dev = Work("training", 12, "steps", begun=now, moved=now), Work("scoring dev", begun=now, moved=now)
    display.push(training)
    training.advance(3, "loss 0.5")
    assert display.text(now) == "training 3/12 steps, loss 0.5"
    display.push(dev)
    assert display.text(now + 5) == "training 3/12 steps, loss 0.5; scoring dev, 5 s"
    display.drop(dev)
    display.drop(training)
    assert display.text(now) == "finetune"


def test_a_step_that_takes_long_is_said() -> None:
    now = time.monotonic()
    work = Work("training", 422, "steps", completed=11, begun=now, moved=now)
    assert work.text(now + 3.4) == "training 11/422 steps, 3 s into the next"


def test_a_terminal_gets_one_line_below_what_others_write(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    results = io.StringIO()
    monkeypatch.setattr(sys, "stdout", results)
    display = Display("tag", terminal)
    display.start()
    now = time.monotonic()
    display.push(Work("tagging", 4, begun=now, moved=now))
    display.tick(now)
    print("a note", file=sys.stderr)
    print('{"id": "1"}')
    display.stop()
    assert "\r\x1b[Ktagging [                ] 0/4 posts" in terminal.getvalue()
    assert "\r\x1b[Ka note\n" in terminal.getvalue()
    assert sys.stderr is terminal
    assert results.getvalue() == '{"id": "1"}\n'


def test_half_a_line_is_left_alone() -> None:
    terminal = Terminal()
    display = Display("tag", terminal)
    display.above(terminal, "Continue? ")
    display.tick(time.monotonic())
    assert terminal.getvalue() == "Continue? "


def test_nothing_is_shown_without_a_display_or_after_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with working("loading") as work:
        work.advance(1)
    with displayed("tag"), displayed("within"):
        name_work("tag: loading")
        stop_display()
        assert list(tracked("ab", "tagging", 2)) == ["a", "b"]
    with displayed("quiet", quiet=True):
        pass
    assert capsys.readouterr() == ("", "")


def test_a_stream_that_nobody_reads_ends_the_display_and_not_the_work() -> None:
    closed = io.StringIO()
    display = Display("tag", closed, seconds=0)
    closed.close()
    display.tick(time.monotonic() + 1)
    assert display._stopped.is_set()


@pytest.mark.parametrize(("value", "seconds"), [("60", 60.0), ("often", 1.25)])
def test_the_seconds_between_lines_may_be_set(value: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, value)
    assert Display("tag", io.StringIO())._seconds == seconds
