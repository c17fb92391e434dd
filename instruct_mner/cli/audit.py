"""``instruct-mner audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.output import print_json


def run(
    log: Annotated[
        Path,
        typer.Argument(
            metavar="LOG",
            help="Text log with tables of scores (UMT and the like), file or folder of LLaMA-Factory, or run folder.",
        ),
    ],
    *,
    reported: Annotated[
        str | None,
        typer.Option(
            metavar="F1",
            help="F1 in per cent that was reported, looked for in a text log: its epoch, and what chose that.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Read a training log: what chose the checkpoint (dev or test), labels, decoding, and what it does not tell.

    Labels and decoding are told by the number of gold entities of the published test sets.
    """
    from instruct_mner.audit.run import audit

    result = audit(log, reported=reported)
    if as_json:
        print_json(result.to_dict())
    else:
        typer.echo("\n".join(result.lines()))
