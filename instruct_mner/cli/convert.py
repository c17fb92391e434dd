"""``instruct-mner convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.options import DecodeOption, ImagesOption, LabelColumnOption, XmlOption
from instruct_mner.schema.choices import MissingImage


def run(
    data: Annotated[
        str,
        typer.Argument(help="Posts: a path, or FORMAT:PATH (conll, gmner, fmnerg, cmner, jsonl, hub).", metavar="DATA"),
    ],
    out: Annotated[Path, typer.Argument(help="File to write, .jsonl; or a folder, for all splits.", metavar="OUT")],
    *,
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
    """Write any known format as JSONL, with pictures named relative to the written file."""
    from instruct_mner.data.captions import add_captions, read_captions
    from instruct_mner.data.conversion import check_absent, choose_outputs, write_converted
    from instruct_mner.data.loading import load
    from instruct_mner.files import exclusive

    texts = None if captions is None else read_captions(captions)
    splits = load(data, images=images, decode=decode, missing_image=missing_image, label_column=label_column, xml=xml)
    for dataset, path in choose_outputs(splits, out, split):
        for note in dataset.notes:
            typer.echo(note, err=True)
        captioned = dataset
        if texts is not None:
            captioned, counts = add_captions(dataset, texts)
            typer.echo(f"{dataset.name}: {counts}", err=True)
        with exclusive(path):
            check_absent(path)
            write_converted(captioned, path)
        typer.echo(f"{dataset.name}: {len(dataset.examples)} posts written to {path}", err=True)
