"""``instruct-mner import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from instruct_mner.cli.options import ColumnOption, ImagesOption
from instruct_mner.errors import ConfigError
from instruct_mner.schema.choices import Decode, ImportLayout, Offsets


def run(
    file: Annotated[
        str,
        typer.Argument(
            help="File or folder of any kind, - for standard input, or FORMAT:PATH as validate takes it.",
            metavar="FILE",
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="JSONL file to write; a folder for the splits of a folder. Default: standard output."
        ),
    ] = None,
    images: ImagesOption = None,
    column: ColumnOption = None,
    offsets: Annotated[
        Offsets | None,
        typer.Option(
            metavar="UNIT",
            help=f"Unit of the offsets of entities: {', '.join(get_args(Offsets))}. Default: told by the content, or "
            "refused.",
        ),
    ] = None,
    decode: Annotated[Decode, typer.Option(help="How BIO tags become entities.")] = "tolerant",
    layout: Annotated[ImportLayout | None, typer.Option(help="Layout of JSON. Default: told by its keys.")] = None,
    text_after: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="Conversations: words behind which the text of the post begins; '' where the message is the text.",
        ),
    ] = None,
    label_names: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Names of tags that are numbers, in their order: O,B-PER,I-PER.")
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Boxes from another tool for the mentions of these posts: COCO (JSON), CVAT for images (XML), or a "
            "folder of Pascal VOC.",
        ),
    ] = None,
    split: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of the posts that become dev.jsonl beside train.jsonl, in the folder -o; posts that share a "
            "text or a picture stay together.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --split.")] = 0,
) -> None:
    """Turn an export of another tool into JSONL: tables, JSON, CoNLL, Label Studio, Argilla, doccano, spaCy, brat.

    Nothing is guessed: a column or offset that can be read in two ways is asked about. Problems are grouped by cause,
    and with any problem nothing is written.
    """
    from instruct_mner.data.importing.region_files import read_regions
    from instruct_mner.data.importing.run import import_and_split, import_file
    from instruct_mner.data.importing.writing import ImportOptions
    from instruct_mner.data.standard_input import named

    options = ImportOptions(
        images=images,
        columns=column or (),
        offsets=offsets,
        decode=decode,
        text_after=text_after,
        label_names=() if label_names is None else label_names.split(","),
        layout=layout,
        boxes=None if boxes is None else read_regions(boxes),
    )
    if split is None:
        imported = import_file(file, out, options)
    elif out is None:
        raise ConfigError("--split writes two files; name their folder with -o DIR")
    else:
        imported = import_and_split(file, out, options, split, seed)
    for note in imported.notes:
        typer.echo(named(note), err=True)
    target = "standard output" if out is None else str(out)
    typer.echo(f"{imported.num_posts} posts with {imported.num_entities} entities written to {target}", err=True)
