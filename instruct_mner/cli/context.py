"""``instruct-mner context``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from instruct_mner.cli.options import ImagesOption


def run(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Posts: a path, or FORMAT:PATH.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A .jsonl file.")],
    *,
    captions: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Captions by this vision-language model; or its name at the endpoint.",
            rich_help_panel="Captions",
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="A server that has the model.", rich_help_panel="Captions")
    ] = None,
    tags: Annotated[
        str | None,
        typer.Option(
            metavar="DETECTOR",
            help="Tags by this object detector of Hugging Face: hub name or folder.",
            rich_help_panel="Object tags",
        ),
    ] = None,
    least_score: Annotated[
        float, typer.Option(min=0, max=1, help="Of an object that becomes a tag.", rich_help_panel="Object tags")
    ] = 0.5,
    most_tags: Annotated[int, typer.Option(min=1, help="Of a picture.", rich_help_panel="Object tags")] = 10,
    ocr: Annotated[
        bool,
        typer.Option("--ocr", help="Text that stands in pictures, by Tesseract.", rich_help_panel="Text in pictures"),
    ] = False,
    ocr_languages: Annotated[
        str, typer.Option(help="Tesseract's names, joined with +.", rich_help_panel="Text in pictures")
    ] = "eng",
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures captioned at once.", rich_help_panel="Captions")] = 8,
    images: ImagesOption = None,
    missing_image: Annotated[
        Literal["error", "text", "skip"],
        typer.Option(help="Posts whose picture is not there: stop, keep as text, or leave out."),
    ] = "error",
) -> None:
    """Say what pictures show, in words: captions, tags and OCR, put into the context of posts.

    Training and tagging show it where it is asked for (context: true, tag --context). A killed run goes on.
    """
    from instruct_mner.context.run import Wanted, make_context

    wanted = Wanted(
        captions=captions,
        endpoint=endpoint,
        tags=tags,
        least_score=least_score,
        most_tags=most_tags,
        ocr=ocr,
        ocr_languages=ocr_languages,
        batch_size=batch_size,
    )
    make_context(data, out, wanted, images=images, missing_image=missing_image)
