"""Help in sections, in plain text: commands and options stand under the ``rich_help_panel`` that they name.

Typer prints such panels with Rich alone. Rich doubles the time that help takes, and at 80 columns its tables leave
17 columns to the explanations of ``tag``; here an explanation has 45 columns at least.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

from instruct_mner.cli.process import CLOSED_PIPE, INTERRUPTED, drop_output
from instruct_mner.console import displayed
from instruct_mner.errors import ConfigError

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter, Parameter

_Row = tuple[str, str]

# Section of options that name none.
_DEFAULT = "Options"

_INSTALL = "--install-completion"

# A name longer than this stands on a line of its own, its explanation below it.
_WIDEST_NAME = 26
# Characters: no first sentence of a verb is longer, so none is cut.
_LONGEST_SENTENCE = 300


class SectionedCommand(TyperCommand):
    """A command whose options stand in sections, and which shows what it is doing."""

    def invoke(self, ctx: Context) -> Any:
        """Run the command; Ctrl-C ends it at once, with one line."""
        try:
            # Of several processes that train together, one speaks.
            with displayed(str(ctx.info_name), quiet=os.environ.get("RANK", "0") != "0"):
                return super().invoke(ctx)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:  # of which Click makes the code of a failure
            drop_output()
            raise SystemExit(CLOSED_PIPE) from None

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write arguments, then the options of each section."""
        _write_sections(formatter, _options(self, ctx))


class SectionedGroup(TyperGroup):
    """A group whose commands stand in sections."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse the command line.

        Raises:
            ConfigError: Completion is asked for with a word, which Typer would pass over, or cannot be installed.
        """
        [first, *rest] = args or [""]
        if first in {_INSTALL, "--show-completion"} and rest:
            raise ConfigError(f"{first} {rest[0]}: give {first} alone; it is for the shell in which it is typed")
        try:
            return super().parse_args(ctx, args)
        except (OSError, UnicodeError) as error:
            if first != _INSTALL or isinstance(error, BrokenPipeError):
                raise
            remedy = "put what --show-completion prints into a file that your shell reads"
            raise ConfigError(f"{_INSTALL}: {error}; {remedy}") from None

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the commands of each section, then the options of the group."""
        self.format_commands(ctx, formatter)
        _write_sections(formatter, _options(self, ctx))

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the name and the whole first sentence of each command."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = (
            (_section(command, "Commands"), (name, command.get_short_help_str(_LONGEST_SENTENCE)))
            for name, command in commands
            if command is not None and not command.hidden
        )
        _write_sections(formatter, rows)


def _section(member: Command | Parameter, default: str) -> str:
    """Return the section of a command, an argument or an option."""
    # Only Typer's own classes have the attribute; those that it takes from Click, such as --help, have not.
    return getattr(member, "rich_help_panel", None) or default


def _options(command: Command, ctx: Context) -> Iterable[tuple[str, _Row]]:
    """Return the section and the row of each argument and option; arguments come first."""
    parameters = sorted(command.get_params(ctx), key=lambda each: each.param_type_name != "argument")
    for parameter in parameters:
        row = parameter.get_help_record(ctx)
        if row is not None:
            default = "Arguments" if parameter.param_type_name == "argument" else _DEFAULT
            yield _section(parameter, default), row


def _write_sections(formatter: HelpFormatter, rows: Iterable[tuple[str, _Row]]) -> None:
    """Write rows under the name of their section; sections come in the order of their first rows, ``Options`` last."""
    sections: dict[str, list[_Row]] = {}
    for section, row in rows:
        sections.setdefault(section, []).append(row)
    for section, members in sorted(sections.items(), key=lambda each: each[0] == _DEFAULT):
        with formatter.section(section):
            formatter.write_dl(members, col_max=_WIDEST_NAME)
