"""Output on the terminal: what is being done, so that no command is silent, and without the libraries' own notes."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO, TypeVar

from instruct_mner.errors import HiddenPicturesWarning

SECONDS_VARIABLE = "INSTRUCT_MNER_LOG_SECONDS"
"""Environment variable with the seconds between two lines of progress, where standard error is no terminal."""

# Together less than two seconds, the longest time in which nothing is written.
_SECONDS_BETWEEN_LINES = 1.25
_SECONDS_BETWEEN_TICKS = 0.2
# Seconds after which a work that has not moved says for how long it has been going on.
_SECONDS_STILL = 1.0
_BAR_WIDTH = 16
_ERASE = "\r\x1b[K"


def quiet_libraries() -> None:
    """Let only errors of the libraries through, and no warning that commands give in words of their own.

    Called before the libraries are imported.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in ("peft", "trl", "accelerate", "bitsandbytes", "datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for module in ("transformers", "trl", "peft", "torch"):
        warnings.filterwarnings("ignore", module=rf"{module}\.")
    warnings.simplefilter("ignore", HiddenPicturesWarning)


@dataclass
class Work:
    """Piece of work that is under way; whoever does it moves it on, and a thread shows it.

    Attributes:
        doing: Present participle with its object, as "loading starter".
        total: Number of units of the whole work; ``None`` where that is not known.
        unit: Plural of what is counted.
        completed: Number of units that are done.
        detail: Further words, such as a loss or the time left.
        begun: Time of the clock at which the work began.
        moved: Time of the clock at which the last unit was done.
    """

    doing: str
    total: int | None = None
    unit: str = "posts"
    completed: int = 0
    detail: str = ""
    begun: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)

    def advance(self, completed: int, detail: str | None = None) -> None:
        """Set the number of units that are done, and the words beside it."""
        self.completed, self.moved = completed, time.monotonic()
        if detail is not None:
            self.detail = detail

    def text(self, now: float, *, bar: bool = False) -> str:
        """Return ``tagging 24/150 posts, 3.2 posts/s, 0:00:40 left``.

        Args:
            now: Time of the clock.
            bar: Whether to draw a bar as well.
        """
        parts = [self.doing]
        if self.total is not None:
            share = min(1.0, self.completed / max(1, self.total))
            drawn = f" [{'=' * round(share * _BAR_WIDTH):<{_BAR_WIDTH}}]" if bar else ""
            parts = [f"{self.doing}{drawn} {self.completed}/{self.total} {self.unit}"]
        if self.detail:
            parts.append(self.detail)
        still = now - (self.begun if self.total is None else self.moved)
        if still >= _SECONDS_STILL:
            parts.append(f"{still:.0f} s" if self.total is None else f"{still:.0f} s into the next")
        return ", ".join(parts)


class Display:
    """Line that says what is being done: drawn again on a terminal, written again and again anywhere else.

    Nothing is computed here and no random number is drawn, so that results are the same with it and without.

    Args:
        doing: Work that is shown where nothing in it says more.
        stream: Stream of the line.
        seconds: Seconds between two lines, where the stream is no terminal.
    """

    def __init__(self, doing: str, stream: TextIO, seconds: float | None = None) -> None:
        self._works = [Work(doing)]
        self._stream = stream
        self._seconds = _seconds_between_lines() if seconds is None else seconds
        self._is_terminal = stream.isatty()
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._last_line = time.monotonic()
        self._is_drawn = self._is_within_line = False
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._proxies: list[tuple[str, TextIO]] = []

    @property
    def whole(self) -> Work:
        """Work of the whole command."""
        return self._works[0]

    def push(self, work: Work) -> None:
        """Show a work within those that are under way."""
        self._works.append(work)

    def drop(self, work: Work) -> None:
        """Show a work no longer."""
        if work in self._works:
            self._works.remove(work)

    def start(self) -> None:
        """Begin to show."""
        if self._is_terminal:
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if stream.isatty():
                    self._proxies.append((name, stream))
                    setattr(sys, name, _Above(stream, self))
        self._thread.start()

    def stop(self) -> None:
        """End to show, and leave no half of a line."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        with self._lock:
            self.erase()
        for name, stream in self._proxies:
            if isinstance(getattr(sys, name), _Above):
                setattr(sys, name, stream)
        self._proxies.clear()

    def forget(self) -> None:
        """Write nothing any more, in a process that has no thread of it."""
        self._stopped.set()
        self._lock = threading.RLock()
        self._is_drawn = False

    def text(self, now: float) -> str:
        """Return the line of all works that are under way, from the outermost."""
        *outer, inner = self._works[1:] or self._works
        texts = [work.text(work.moved) for work in outer]
        return "; ".join([*texts, inner.text(now, bar=self._is_terminal)])

    def tick(self, now: float) -> None:
        """Draw or write the line, if it is time to."""
        with self._lock:
            if self._is_terminal:
                self._draw(now)
            elif now - self._last_line >= self._seconds:
                self._last_line = now
                self._write(self.text(now) + "\n")

    def above(self, stream: TextIO, text: str) -> int:
        """Write a text of somebody else, above the line."""
        with self._lock:
            self.erase()
            num_written = stream.write(text)
            if text:
                self._is_within_line = not text.endswith("\n")
            return num_written

    def erase(self) -> None:
        """Take the line off the terminal."""
        if self._is_drawn:
            self._is_drawn = False
            self._write(_ERASE)

    def _draw(self, now: float) -> None:
        if self._is_within_line:
            return
        width = shutil.get_terminal_size().columns - 1
        self._is_drawn = True
        self._write(f"{_ERASE}{self.text(now)[:width]}")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any more, which is no reason to end the work
            self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(_SECONDS_BETWEEN_TICKS):
            self.tick(time.monotonic())


class _Above:
    """Stream of a terminal whose text goes above the line of a display."""

    def __init__(self, stream: TextIO, display: Display) -> None:
        self._stream = stream
        self._display = display

    def write(self, text: str) -> int:
        return self._display.above(self._stream, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _seconds_between_lines() -> float:
    try:
        return float(os.environ[SECONDS_VARIABLE])
    except (KeyError, ValueError):
        return _SECONDS_BETWEEN_LINES


# At most one: that of the command that runs.
_displays: list[Display] = []


def _forget() -> None:
    """Show nothing in a forked process: the thread that would is not in it."""
    for display in _displays:
        display.forget()
    _displays.clear()


os.register_at_fork(after_in_child=_forget)


@contextmanager
def displayed(doing: str, *, quiet: bool = False) -> Iterator[None]:
    """Show on standard error what is being done in the block; within such a block, show what is done there.

    Args:
        doing: Work of the whole block.
        quiet: Whether to show nothing.
    """
    if quiet or _displays:
        yield
        return
    display = Display(doing, sys.stderr)
    _displays.append(display)
    display.start()
    try:
        yield
    finally:
        stop_display()


def stop_display() -> None:
    """Show nothing any more: what follows lasts, or is not the work of this process alone."""
    while _displays:
        _displays.pop().stop()


def name_work(doing: str) -> None:
    """Give the work of the whole command other words."""
    for display in _displays:
        display.whole.doing = doing


@contextmanager
def working(doing: str, total: int | None = None, unit: str = "posts") -> Iterator[Work]:
    """Show a piece of work while the block runs; without a display around it, nothing is shown.

    Args:
        doing: Present participle with its object.
        total: Number of units of the whole work.
        unit: Plural of what is counted.
    """
    work = Work(doing, total, unit)
    for display in _displays:
        display.push(work)
    try:
        yield work
    finally:
        for display in _displays:
            display.drop(work)


_Record = TypeVar("_Record")


def tracked(records: Iterable[_Record], doing: str, total: int, unit: str = "posts") -> Iterator[_Record]:
    """Return the same records, and show how many of them have been gone through."""
    with working(doing, total, unit) as work:
        for number, record in enumerate(records, start=1):
            yield record
            work.advance(number)
