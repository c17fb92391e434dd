"""``instruct-mner reinforce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.options import LeaksOption, ResumeOption
from instruct_mner.cli.output import announce, console


def run(
    config: Annotated[
        Path, typer.Argument(help="Config of the adapter's own run, as a rule; its section 'reinforcement' is used.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Setting that replaces one of the config, as key=value: reinforcement.adapter=runs/first; repeatable.",
        ),
    ] = None,
    resume: ResumeOption = False,
    leaks: LeaksOption = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show config, drawn answers with their rewards, time, memory; keep nothing."),
    ] = False,
) -> None:
    """Reinforce a fine-tuned adapter: answers that score better than others become more likely; makes a run folder.

    Several answers to each post are drawn under its grammar and scored against the gold, exactly as 'evaluate' would.
    """
    announce(f"reinforce: reading {config}")
    from instruct_mner.reinforcement.config import find_start, left_out, reinforced_config
    from instruct_mner.training.checkpoints import is_done
    from instruct_mner.training.config import load_config
    from instruct_mner.training.precheck import precheck

    # Before the libraries: a mistake in config, data or adapter is an error at once.
    given = load_config(config, [*(overrides or ()), *([f"data.leaks={leaks}"] if leaks else [])])
    settings = reinforced_config(given)
    if resume and is_done(settings):
        typer.echo(f"{settings.output} is finished already", err=True)
        return
    for line in left_out(given):
        typer.echo(line, err=True)
    find_start(settings)
    sources = precheck(settings, resume=resume, dry_run=dry_run)
    announce(f"reinforce: loading the libraries and {settings.model}")
    if dry_run:
        from instruct_mner.reinforcement.dry_run import dry_run as describe

        describe(settings, console(stderr=False), sources)
    else:
        from instruct_mner.cli.file_errors import resumable
        from instruct_mner.reinforcement.reinforce import reinforce

        with resumable(settings.output, resume=resume):
            reinforce(settings, console(), resume=resume, sources=sources)
