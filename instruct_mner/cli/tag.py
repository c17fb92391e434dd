"""``instruct-mner tag``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class MissingImage(StrEnum):
    """What to do with posts whose picture is not there."""

    error = "error"
    text = "text"
    skip = "skip"


def run(
    input_: Annotated[
        str | None,
        typer.Argument(metavar="[INPUT]", help="DATA (a path or format:path), or - for JSONL on standard input."),
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="JSONL to write; - is standard output.")] = "-",
    text: Annotated[str | None, typer.Option(help="One post, instead of INPUT.")] = None,
    image: Annotated[Path | None, typer.Option(help="Its picture.")] = None,
    model: Annotated[str | None, typer.Option(help="A base or fully tuned model: hub name or folder.")] = None,
    adapter: Annotated[Path | None, typer.Option(help="An adapter, or the run folder of one.")] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="PER,LOC or a YAML file (a list, or NAME: definition); default: the tuned ones."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures.")] = None,
    missing_image: Annotated[
        MissingImage, typer.Option(help="Posts whose picture is not there: stop, keep as text, or leave out.")
    ] = MissingImage.error,
    batch_size: Annotated[int, typer.Option(min=1, help="Posts tagged at once.")] = 8,
    constrained: Annotated[
        bool, typer.Option(help="Allow only answers that are legal on the post; leave it on.")
    ] = True,
) -> None:
    """Find the entities of posts; JSONL in and out."""
    from instruct_mner.errors import ConfigError
    from instruct_mner.tag_command import Source, tag

    if (input_ is None) == (text is None):
        raise ConfigError("give either INPUT or --text, for example: instruct-mner tag posts.jsonl --model DIR")
    if model is None and adapter is None:
        raise ConfigError("give --model (hub name or folder) or --adapter (folder), or both for a base that has moved")
    tag(
        Source(input_, text, image, images, missing_image.value),
        output=output,
        model=model,
        adapter=adapter,
        labels=labels,
        batch_size=batch_size,
        constrained=constrained,
    )
