"""``instruct-mner convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from instruct_mner.cli.options import DecodeOption, ImagesOption, LabelColumnOption, XmlOption
from instruct_mner.schema.choices import ExportFormat, MissingImage


def run(
    data: Annotated[
        str,
        typer.Argument(
            help="Posts, or predictions of tag: a path, or FORMAT:PATH (conll, gmner, fmnerg, cmner, jsonl, hub).",
            metavar="DATA",
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            help="File to write, whose suffix tells the format: .jsonl, .conll, .csv, .parquet; or a folder, for all "
            "splits.",
            metavar="OUT",
        ),
    ],
    *,
    to: Annotated[
        ExportFormat | None,
        typer.Option(
            metavar="FORMAT",
            help=f"Format to write, where the suffix of OUT does not tell it: {', '.join(get_args(ExportFormat))}.",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split to convert: train, dev or test; default: all.")] = None,
    images: ImagesOption = None,
    decode: DecodeOption = "tolerant",
    label_column: LabelColumnOption = "fine",
    xml: XmlOption = None,
    missing_image: Annotated[
        MissingImage,
        typer.Option(help="Posts whose picture is missing: an error, kept as text, left out, or kept as is."),
    ] = "error",
    captions: Annotated[
        Path | None,
        typer.Option(
            help="Ready-made captions, put into the context of posts: JSON, or lines NAME :CAPTION.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Write any known format as JSONL, or for another tool, with pictures named relative to the written file.

    Files for other tools are read back, and everything that they do not hold is counted.
    """
    from instruct_mner.data.captions import add_captions, read_captions
    from instruct_mner.data.exporting.posts import of_dataset, read_predicted
    from instruct_mner.data.exporting.run import write_splits
    from instruct_mner.data.exporting.targets import choose_target, folder_of
    from instruct_mner.data.loading import load

    target = choose_target(out, to)
    texts = None if captions is None else read_captions(captions)
    folder = folder_of(out)
    splits = read_predicted(data, images, folder)
    if splits is None:
        splits = {}
        loaded = load(
            data, images=images, decode=decode, missing_image=missing_image, label_column=label_column, xml=xml
        )
        for name, dataset in loaded.items():
            for note in dataset.notes:
                typer.echo(note, err=True)
            captioned = dataset
            if texts is not None:
                captioned, counts = add_captions(dataset, texts)
                typer.echo(f"{dataset.name}: {counts}", err=True)
            splits[name] = of_dataset(captioned, folder)
    for posts, path, notes in write_splits(splits, out, target, split):
        for note in notes:
            typer.echo(note, err=True)
        typer.echo(f"{posts.name}: {len(posts.posts)} posts written to {path}", err=True)
