"""The command line: one file a verb, each of which calls one function of the package.

Exit codes: 0; 2 for what the user must mend (one message, no traceback); 1 for a failure of ours; 130 after Ctrl-C; 141
where nobody reads the output any more.
Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from instruct_mner import __version__
from instruct_mner.cli.help import SectionedCommand, SectionedGroup
from instruct_mner.cli.process import exit_code, leave, prepare_streams

app = typer.Typer(
    name="instruct-mner",
    cls=SectionedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Without Rich: cli/help.py says why.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    """Print name and version, and end the program, where ``--version`` is given."""
    if wanted:
        typer.echo(f"instruct-mner {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find the named entities of posts with pictures: prepare data, fine-tune, tag, score, serve."""


def _add_verbs() -> None:
    """Register each verb under the section of the help that it stands in."""
    from instruct_mner.cli import (
        audit,
        calibrate,
        context,
        convert,
        demo,
        env,
        evaluate,
        experiment,
        finetune,
        import_,
        init,
        merge,
        push,
        reinforce,
        report,
        serve,
        synth,
        tag,
        ui,
        validate,
    )

    sections = {
        "Start here": (demo, init, env),
        "Data": (import_, validate, convert, context, synth),
        "Training": (finetune, reinforce, experiment, merge, push),
        "Tagging and scoring": (tag, evaluate, report, calibrate, audit),
        "Serving": (serve, ui),
    }
    for section, verbs in sections.items():
        for verb in verbs:
            name = verb.__name__.rpartition(".")[2].rstrip("_")  # `import` is a word of Python
            app.command(name, cls=SectionedCommand, rich_help_panel=section)(verb.run)


_add_verbs()


def main() -> None:
    """Run the command line and turn what the user can mend into one message and exit code 2."""
    prepare_streams()
    sys.exit(exit_code(app))


def program() -> NoReturn:
    """Run the command line as the program of a process, and end it with the last line of output."""
    prepare_streams()
    leave(exit_code(app))
