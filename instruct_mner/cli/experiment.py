"""``instruct-mner experiment``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.options import DecodeOption, ImagesOption
from instruct_mner.cli.output import announce, console
from instruct_mner.schema.choices import LeakPolicy, MissingImageOption


def run(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Published set (twitter2015, twitter2017, gmner, fmnerg, cmner), or a folder with train, dev, test.",
        ),
    ],
    *,
    model: Annotated[str, typer.Option(metavar="MODEL", help="Base model: hub name or folder, starter or smollm2.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of runs and tables.")],
    arms: Annotated[
        str,
        typer.Option(
            help="Arms, joined with commas; the others are compared with the first. plain, text-only, shuffled, "
            "left-out, ita, smner, bga, bga-generated, all-objectives, zero-shot."
        ),
    ] = "plain,text-only,shuffled",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, from 0.")] = 3,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Folder of a published set. Default: data/NAME.", show_default=False
        ),
    ] = None,
    images: ImagesOption = None,
    missing_image: Annotated[
        MissingImageOption,
        typer.Option(help="Posts whose picture is missing: an error, read as text, or left out of train (skip)."),
    ] = "error",
    decode: DecodeOption = "tolerant",
    leaks: Annotated[
        LeakPolicy, typer.Option(help="Training posts that are also in test: refuse to train, drop or allow them.")
    ] = "refuse",
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML with settings of finetune that hold for all arms.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Setting of finetune for all arms, as key=value; repeatable.")
    ] = None,
    arms_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML with arms of your own: NAME: {change: {setting: value}}."),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Number of processes of a training, one for each GPU, by accelerate launch.")
    ] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of posts tagged at once.")] = 8,
    resamples: Annotated[
        int, typer.Option(min=1, help="Number of draws of seeds and posts for intervals and p-values.")
    ] = 10_000,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show data, arms, hours and memory; keep nothing.")
    ] = False,
) -> None:
    """Fine-tune, tag and score arms over several seeds; writes table.md, table.tex and table.csv.

    A killed experiment goes on with the same command; complete runs are not run again, and arms and seeds may be added.
    """
    announce(f"experiment: reading {data}")
    from instruct_mner.experiment.plan import ExperimentSettings

    settings = ExperimentSettings(
        data=data,
        model=model,
        arms=tuple(each.strip() for each in arms.split(",") if each.strip()),
        num_seeds=seeds,
        output=output,
        folder=folder,
        images=images,
        missing_image=missing_image,
        decode=decode,
        leaks=leaks,
        config=config,
        overrides=tuple(overrides or ()),
        arms_file=arms_file,
        num_processes=processes,
        batch_size=batch_size,
        command=shlex.join(["instruct-mner", *sys.argv[1:]]),
    )
    if dry_run:
        from instruct_mner.experiment.estimate import describe_experiment

        describe_experiment(settings, console(stderr=False))
    else:
        from instruct_mner.experiment.run import experiment

        table = experiment(settings, console(), num_resamples=resamples)
        typer.echo(table.read_text(encoding="utf-8"))
