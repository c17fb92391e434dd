"""``instruct-mner context``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.options import ImagesOption
from instruct_mner.schema.choices import MissingImageOption


def run(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Posts: a path, or FORMAT:PATH.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write, .jsonl.")],
    *,
    captions: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Vision-language model that writes captions; at an endpoint, its name there.",
            rich_help_panel="Captions",
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Server that has the model.", rich_help_panel="Captions")
    ] = None,
    tags: Annotated[
        str | None,
        typer.Option(
            metavar="DETECTOR",
            help="Object detector of Hugging Face that gives tags: hub name or folder.",
            rich_help_panel="Object tags",
        ),
    ] = None,
    least_score: Annotated[
        float,
        typer.Option(min=0, max=1, help="Least score of an object that becomes a tag.", rich_help_panel="Object tags"),
    ] = 0.5,
    most_tags: Annotated[
        int, typer.Option(min=1, help="Largest number of tags of a picture.", rich_help_panel="Object tags")
    ] = 10,
    ocr: Annotated[
        bool,
        typer.Option("--ocr", help="Read the text in pictures with Tesseract.", rich_help_panel="Text in pictures"),
    ] = False,
    ocr_languages: Annotated[
        str,
        typer.Option(
            help="Languages of the text, by Tesseract's names joined with +.", rich_help_panel="Text in pictures"
        ),
    ] = "eng",
    batch_size: Annotated[
        int, typer.Option(min=1, help="Number of pictures captioned at once.", rich_help_panel="Captions")
    ] = 8,
    images: ImagesOption = None,
    missing_image: Annotated[
        MissingImageOption,
        typer.Option(help="Posts whose picture is missing: an error, read as text, or left out (skip)."),
    ] = "error",
) -> None:
    """Describe pictures in words: captions, tags and OCR, written into the context of posts.

    Training and tagging add it to the prompt with context: true and tag --context. A killed run goes on.
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
