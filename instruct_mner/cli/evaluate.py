"""``instruct-mner evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.options import ImagesOption, LabelColumnOption, XmlOption
from instruct_mner.cli.output import print_json
from instruct_mner.schema.choices import Decode, Match


def run(
    gold: Annotated[
        str, typer.Argument(metavar="GOLD", help="Annotated posts: a path, or FORMAT:PATH, as validate takes it.")
    ],
    predicted: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PRED...",
            help="Predictions of every post: JSONL or Parquet, as `tag` writes it, columns of tags, as conlleval reads "
            "them, answers of LLaMA-Factory and ms-swift, or what `import` reads. Further files are compared by a "
            "paired bootstrap. Left out where the predictions stand in the last column of GOLD. One file may be -, for "
            "standard input.",
        ),
    ] = None,
    *,
    decode: Annotated[
        Decode,
        typer.Option(
            help="Rule that turns BIO tags of the gold into spans. tolerant: an I- that continues nothing opens an "
            "entity (conlleval, the literature). strict: only B- does (IOB2)."
        ),
    ] = "tolerant",
    match: Annotated[
        Match,
        typer.Option(
            help="Rule by which an entity is right. offset: start, end and type. surface: its text and type, "
            "wherever it stands. surface-lower-set: lower-cased text and type, repetitions dropped; some "
            "papers on LLMs do so, and it inflates the score."
        ),
    ] = "offset",
    images: ImagesOption = None,
    label_column: LabelColumnOption = "fine",
    xml: XmlOption = None,
    of_run: Annotated[
        list[Path] | None,
        typer.Option(
            "--run",
            metavar="FOLDER",
            help="Run or adapter that made PRED, repeatable for further ones. The report then says what it was trained "
            "on, and LEAKED where the gold or posts of an evaluation set were.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the meaning of each column and number as well.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    resamples: Annotated[int, typer.Option(min=1, help="Number of resamples for intervals and p-values.")] = 10_000,
) -> None:
    """Score predictions against gold: micro F1, types, span-only, rejected items, grounded triples.

    With a second PRED the difference of the two, its 95 % interval and p-value are printed; with more, all pairs.
    """
    from instruct_mner.scoring.files import GoldSource, evaluate_files

    report = evaluate_files(
        GoldSource(data=gold, decode=decode, images=images, label_column=label_column, xml=xml),
        predicted or [],
        match=match,
        runs=of_run or (),
        seed=seed,
        num_resamples=resamples,
    )
    if as_json:
        print_json(report.to_dict())
    else:
        from instruct_mner.scoring.table import print_report

        print_report(report, explained=explain)
