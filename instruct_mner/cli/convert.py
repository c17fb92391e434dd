"""``instruct-mner convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def run(
    data: Annotated[str, typer.Argument(help="A path, or FORMAT:PATH (conll, gmner, jsonl).", metavar="DATA")],
    out: Annotated[Path, typer.Argument(help="A .jsonl file; or a folder, for all splits.", metavar="OUT")],
    *,
    split: Annotated[str | None, typer.Option(help="Only this split: train, dev, test.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures.", metavar="DIR")] = None,
    decode: Annotated[Literal["tolerant", "strict"], typer.Option(help="How BIO tags become entities.")] = "tolerant",
    missing_image: Annotated[
        Literal["error", "text", "skip", "keep"],
        typer.Option(help="Posts whose picture is missing: an error, kept as text, left out, or kept as is."),
    ] = "error",
) -> None:
    """Write any known format as JSONL, with pictures named relative to the written file."""
    from instruct_mner.data import load
    from instruct_mner.data.conversion import choose_outputs, write_converted

    splits = load(data, images=images, decode=decode, missing_image=missing_image)
    for dataset, path in choose_outputs(splits, out, split):
        write_converted(dataset, path)
        typer.echo(f"{dataset.name}: {len(dataset.examples)} posts written to {path}", err=True)
