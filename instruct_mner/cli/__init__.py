"""The command line: one file a verb, each of which calls one function of the package.

Exit codes: 0; 2 for what the user must mend (one message, no traceback); 1 for a failure of ours.
Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import sys

import typer

from instruct_mner.errors import MnerError

app = typer.Typer(
    name="instruct-mner",
    help="Find the entities of posts with pictures: validate, fine-tune, tag, score.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add_verbs() -> None:
    from instruct_mner.cli import (
        calibrate,
        context,
        convert,
        demo,
        env,
        evaluate,
        finetune,
        init,
        merge,
        serve,
        synth,
        tag,
        validate,
    )

    verbs = (init, synth, validate, convert, context, finetune, tag, calibrate, evaluate, serve, merge, demo, env)
    for verb in verbs:
        app.command(verb.__name__.rpartition(".")[2])(verb.run)


_add_verbs()


def main() -> None:
    """Runs the command line and turns what the user can mend into one message and exit code 2."""
    try:
        app()
    except MnerError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
