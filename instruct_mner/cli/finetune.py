"""``instruct-mner finetune``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from instruct_mner.cli.options import (
    BaseModelOption,
    ColumnOption,
    DevShareOption,
    ImagesOption,
    LeaksOption,
    ResumeOption,
)
from instruct_mner.cli.output import announce, console


def run(
    config: Annotated[
        Path | None,
        typer.Argument(
            help="Config file, YAML; 'instruct-mner init DIR' writes one. Left out with --data.", show_default=False
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Setting that replaces one of the config, as key=value: optimizer.epochs=5; repeatable."
        ),
    ] = None,
    resume: ResumeOption = False,
    leaks: LeaksOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show config, first post, label mask, token budget, modules, steps, time, memory; keep nothing.",
        ),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Posts of any kind that import reads, in place of a config, which is written."
        ),
    ] = None,
    images: ImagesOption = None,
    column: ColumnOption = None,
    split: DevShareOption = 0.1,
    model: BaseModelOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder of config, posts and run, with --data. Default: the name of DATA, with -mner.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fine-tune a vision-language model on annotated posts; makes a run folder.

    With --data it imports the posts, holds some out, writes a config for them beside, and trains with it.
    """
    with ExitStack() as stack:
        if dry_run and config is None and data is not None:
            output = Path(stack.enter_context(TemporaryDirectory())) / "dry-run"
        path = _config(config, data, images, column, split, model, output, resume=resume, keeps=not dry_run)
        _run(path, overrides or (), resume=resume, leaks=leaks, dry_run=dry_run)


def _run(config: Path, overrides: Sequence[str], *, resume: bool, leaks: str | None, dry_run: bool) -> None:
    announce(f"finetune: reading {config}")
    from instruct_mner.training.checkpoints import is_done
    from instruct_mner.training.config import load_config
    from instruct_mner.training.precheck import precheck

    # Before the libraries: a mistake in config or data is an error at once, not after ten seconds of imports.
    settings = load_config(config, [*overrides, *([f"data.leaks={leaks}"] if leaks else [])])
    if resume and is_done(settings):
        typer.echo(f"{settings.output} is finished already", err=True)
        return
    sources = precheck(settings, resume=resume, dry_run=dry_run)
    announce(f"finetune: loading the libraries and {settings.model}")
    if dry_run:
        from instruct_mner.training.dry_run import dry_run as describe

        describe(settings, console(stderr=False), sources)
    else:
        from instruct_mner.cli.file_errors import resumable
        from instruct_mner.training.finetune import finetune

        with resumable(settings.output, resume=resume):
            finetune(settings, console(), resume=resume, sources=sources)


def _config(
    config: Path | None,
    data: str | None,
    images: Path | None,
    column: list[str] | None,
    split: float,
    model: str | None,
    output: Path | None,
    *,
    resume: bool,
    keeps: bool,
) -> Path:
    """Return the config of a run: the one that is named, or one that is written for data of the user."""
    from instruct_mner.errors import ConfigError

    if config is not None:
        given = [flag for flag, value in (("--data", data), ("--images", images), ("--column", column),
                                          ("--model", model), ("--output", output)) if value is not None]  # fmt: skip
        if given:
            raise ConfigError(f"{given[0]} goes without a config; set it in {config}, or by --set (model=…, output=…)")
        return config
    if data is None:
        raise ConfigError("name a config ('instruct-mner init DIR' writes one), or your posts by --data DATA")
    from instruct_mner.data.importing.writing import ImportOptions
    from instruct_mner.quickstart.project import DEFAULT_MODEL, write_own_project

    folder = output or Path(f"{Path(data.partition(':')[2] or data).stem}-mner")
    own = folder / "config.yaml"
    if own.is_file():
        if resume:
            return own
        raise ConfigError(
            f"{folder} holds a config for these data already, and nothing is overwritten; name another folder (-o), or "
            f"train with it: instruct-mner finetune {quote(str(own))}"
        )
    announce(f"finetune: importing {data}")
    options = ImportOptions(images=images, columns=column or ())
    written, imported = write_own_project(folder, data, options, model=model or DEFAULT_MODEL, share=split)
    for note in imported.notes:
        typer.echo(note, err=True)
    if keeps:
        typer.echo(
            f"wrote {written}; change it for another run: instruct-mner finetune {quote(str(written))}", err=True
        )
    return written
