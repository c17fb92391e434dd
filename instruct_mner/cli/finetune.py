"""``instruct-mner finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def run(
    config: Annotated[Path, typer.Argument(help="A YAML config; 'instruct-mner init DIR' writes one.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting on top of the config, as key=value: optimizer.epochs=5."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was killed, as if it had not been.")
    ] = False,
    leaks: Annotated[
        Literal["refuse", "drop", "allow"] | None,
        typer.Option(
            help="Training posts that stand in a split of data.evaluate_on: refuse to train, drop them, or allow them "
            "and stamp LEAKED on all that comes of the run. Overrides data.leaks.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show config, first post, label mask, token budget, modules; train nothing."),
    ] = False,
) -> None:
    """Fine-tune a vision-language model on annotated posts; makes a run folder."""
    from instruct_mner.training.config import load_config

    # Before the libraries: a mistake in the config is told at once, not after ten seconds of imports.
    settings = load_config(config, [*(overrides or ()), *([f"data.leaks={leaks}"] if leaks else [])])

    from rich.console import Console

    from instruct_mner.console import quiet_libraries

    quiet_libraries()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if dry_run:
        from instruct_mner.training.dry_run import dry_run as show

        show(settings, Console(highlight=False, soft_wrap=True))
        return
    from instruct_mner.training.finetune import finetune

    finetune(settings, console, resume=resume)
