"""``instruct-mner finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.output import announce, console
from instruct_mner.schema.choices import LeakPolicy


def run(
    config: Annotated[Path, typer.Argument(help="Config file, YAML; 'instruct-mner init DIR' writes one.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Setting that replaces one of the config, as key=value: optimizer.epochs=5; repeatable."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was killed; the result is that of an unbroken run.")
    ] = False,
    leaks: Annotated[
        LeakPolicy | None,
        typer.Option(
            help="Training posts that are also in a split of data.evaluate_on: refuse to train, drop them, or allow "
            "them and mark all that comes of the run as LEAKED. Overrides data.leaks.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show config, first post, label mask, token budget, modules, steps, time, memory; keep nothing.",
        ),
    ] = False,
) -> None:
    """Fine-tune a vision-language model on annotated posts; makes a run folder."""
    announce(f"finetune: reading {config}")
    from instruct_mner.training.checkpoints import is_finished
    from instruct_mner.training.config import load_config
    from instruct_mner.training.precheck import precheck

    # Before the libraries: a mistake in config or data is an error at once, not after ten seconds of imports.
    settings = load_config(config, [*(overrides or ()), *([f"data.leaks={leaks}"] if leaks else [])])
    if resume and is_finished(settings.output):
        typer.echo(f"{settings.output} is finished already", err=True)
        return
    sources = precheck(settings, resume=resume, dry_run=dry_run)
    announce(f"finetune: loading the libraries and {settings.model}")
    if dry_run:
        from instruct_mner.training.dry_run import dry_run as describe

        describe(settings, console(stderr=False), sources)
    else:
        from instruct_mner.training.finetune import finetune

        finetune(settings, console(), resume=resume, sources=sources)
