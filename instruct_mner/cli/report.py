"""``instruct-mner report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.options import DecodeOption, ImagesOption, LabelColumnOption, XmlOption
from instruct_mner.cli.output import announce


def run(
    gold: Annotated[
        str, typer.Argument(metavar="GOLD", help="Annotated posts: a path, or FORMAT:PATH, as validate takes it.")
    ],
    predicted: Annotated[
        list[Path],
        typer.Argument(metavar="PRED...", help="Predictions of every post; further files are compared with the first."),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PAGE", help="HTML file to write; an earlier page is made anew.")
    ],
    name: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Name of a prediction file on the page; once for each.")
    ] = None,
    images: ImagesOption = None,
    decode: DecodeOption = "tolerant",
    label_column: LabelColumnOption = "fine",
    xml: XmlOption = None,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Training data of the model: recall of mentions that it holds, and of others."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Title of the page.")] = None,
    pictures: Annotated[
        int, typer.Option(min=0, help="Largest number of pictures inside the page; posts with an error come first.")
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    resamples: Annotated[int, typer.Option(min=1, help="Number of resamples for intervals and p-values.")] = 1_000,
) -> None:
    """Write one page to look at: errors, confusion of types, confidences, posts with boxes, several runs side by side.

    The page is one file that needs no network, with a filter by outcome, type, confidence and text.
    """
    announce(f"report: reading {gold}")
    from instruct_mner.files import exclusive
    from instruct_mner.report.files import ReportOptions, report_files
    from instruct_mner.scoring.files import GoldSource

    with exclusive(output):
        report_files(
            output,
            GoldSource(data=gold, decode=decode, images=images, label_column=label_column, xml=xml),
            predicted,
            names=name or (),
            train=train,
            title=title,
            options=ReportOptions(most_pictures=pictures, num_resamples=resamples, seed=seed),
        )
    typer.echo(output)
