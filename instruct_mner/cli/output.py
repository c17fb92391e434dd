"""Output that several verbs share: the line that comes at once, consoles, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from instruct_mner.console import name_work, quiet_libraries

if TYPE_CHECKING:
    from rich.console import Console


def announce(line: str) -> None:
    """Print a line on standard error before the libraries are imported, which takes seconds, and silence them.

    Args:
        line: Line that names the verb and what it loads.
    """
    typer.echo(line, err=True)
    name_work(line)
    quiet_libraries()


def console(*, stderr: bool = True) -> Console:
    """Return a console that wraps no lines and adds no colours to numbers."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def table_console() -> Console:
    """Return a console on standard output for tables, at least 80 columns wide."""
    plain = console(stderr=False)
    return type(plain)(width=max(plain.width, 80), markup=False, emoji=False, highlight=False)


def print_json(value: Any) -> None:
    """Print a value as indented JSON on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
