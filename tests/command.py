"""A command of the program, run in the process of the test."""

from __future__ import annotations

import sys

import pytest

from instruct_mner.cli import main


def exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run ``instruct-mner ARGUMENTS…`` and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["instruct-mner", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)
