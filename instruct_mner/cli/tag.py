"""``instruct-mner tag``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.output import announce
from instruct_mner.errors import ConfigError
from instruct_mner.schema.choices import (
    Constraint,
    ExampleChoice,
    MissingImageOption,
    Segmentation,
    TaggingImageSource,
    TaggingOrder,
)

# Sections of the help.
_POSTS = "Posts"
_MODEL = "Model"
_OUTPUT = "Output"
_PROMPT = "Prompt"
_ENGINE = "Speed and engine"
_ENDPOINT = "Endpoint"


def run(
    input_: Annotated[
        str | None,
        typer.Argument(metavar="[INPUT]", help="Posts to tag: a path, FORMAT:PATH, or - for JSONL on standard input."),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Text of a single post, instead of INPUT.", rich_help_panel=_POSTS)
    ] = None,
    # No path, in which an address would lose a slash.
    image: Annotated[
        str | None, typer.Option(metavar="PATH", help="Picture of the single post.", rich_help_panel=_POSTS)
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the pictures.", rich_help_panel=_POSTS)
    ] = None,
    missing_image: Annotated[
        MissingImageOption,
        typer.Option(
            help="Posts whose picture is missing: an error, read as text, or left out (skip).", rich_help_panel=_POSTS
        ),
    ] = "error",
    image_source: Annotated[
        TaggingImageSource,
        TaggingOrder,
        typer.Option(
            help="Pictures of each post: its own, none, another post's (a baseline), or one generated from its text "
            "(models tuned with alignment.generative; not at endpoints).",
            rich_help_panel=_POSTS,
        ),
    ] = "own",
    model: Annotated[
        str | None,
        typer.Option(
            help="Base or fully tuned model: hub name or folder; at an endpoint, its name there.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(help="Folder of an adapter or run, or USER/NAME[@REVISION].", rich_help_panel=_MODEL)
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Server with OpenAI's API; its key, if any, in OPENAI_API_KEY.", rich_help_panel=_MODEL
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Labels as PER,LOC or a YAML file (a list, or NAME: definition); default: as tuned.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="File to write, JSONL or .parquet; - is standard output.", rich_help_panel=_OUTPUT
        ),
    ] = "-",
    threshold: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Confidence below which entities are left out (see calibrate).", rich_help_panel=_OUTPUT
        ),
    ] = 0.0,
    order: Annotated[
        TaggingOrder,
        typer.Option(
            help="Order of the predictions: as the data, or the uncertain first, by the least score in each post.",
            rich_help_panel=_OUTPUT,
        ),
    ] = "data",
    attention: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for a drawing of the attention of each mention, as PNG.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Annotated posts for a few-shot prompt of an untuned model.", rich_help_panel=_PROMPT
        ),
    ] = None,
    num_examples: Annotated[
        int, typer.Option(min=1, help="Number of few-shot examples in a prompt.", rich_help_panel=_PROMPT)
    ] = 4,
    choose: Annotated[
        ExampleChoice,
        typer.Option(
            help="Few-shot examples: the first, or the nearest to each post (at endpoints, by words).",
            rich_help_panel=_PROMPT,
        ),
    ] = "first",
    context: Annotated[
        bool | None,
        typer.Option(help="Add captions, tags and OCR of the pictures; default: as tuned.", rich_help_panel=_PROMPT),
    ] = None,
    segmentation: Annotated[
        Segmentation | None,
        typer.Option(
            help="Places where a mention may begin and end: words (and every character of scripts without spaces) or "
            "characters (anywhere); default: as tuned.",
            rich_help_panel=_PROMPT,
        ),
    ] = None,
    constraint: Annotated[
        Constraint,
        typer.Option(
            help="Constraint of answers: grammar (vLLM), schema (JSON answers on other servers) or none.",
            rich_help_panel=_ENDPOINT,
        ),
    ] = "grammar",
    concurrency: Annotated[int, typer.Option(min=1, help="Number of requests at once.", rich_help_panel=_ENDPOINT)] = 8,
    scores: Annotated[
        bool,
        typer.Option(help="Ask for log-probabilities; without them, every score is 1.", rich_help_panel=_ENDPOINT),
    ] = True,
    engine: Annotated[
        str,
        typer.Option(
            help="Engine that answers: transformers, vllm, or ray[:ENGINE] on the machines of RAY_ADDRESS.",
            rich_help_panel=_ENGINE,
        ),
    ] = "transformers",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of Ray's workers; default: one for each GPU, or for each machine.",
            rich_help_panel=_ENGINE,
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Number of posts tagged at once.", rich_help_panel=_ENGINE)
    ] = 64,
    constrained: Annotated[
        bool, typer.Option(help="Allow only answers that are legal on the post; leave it on.", rich_help_panel=_ENGINE)
    ] = True,
    vllm: Annotated[
        list[str] | None,
        typer.Option(
            "--vllm", help="A flag of vLLM, as --vllm=--max-model-len=4096; repeatable.", rich_help_panel=_ENGINE
        ),
    ] = None,
) -> None:
    """Find the entities of posts; JSONL or Parquet in and out. A killed run goes on where it stopped."""
    if (input_ is None) == (text is None):
        raise ConfigError("give either INPUT or --text, for example: instruct-mner tag posts.jsonl --model DIR")
    if image is not None and text is None:
        raise ConfigError("--image is the picture of --text; posts of INPUT name their own, in the folder --images")
    answering = f"asking {model} at {endpoint}" if endpoint is not None else f"loading {adapter or model}"
    announce(f"tag: {answering}")
    from instruct_mner.models.locations import adapter_place
    from instruct_mner.tagging.input import PostSource
    from instruct_mner.tagging.run import tag
    from instruct_mner.tagging.settings import TaggingSettings

    source = PostSource(
        data=input_, text=text, image=image, images=images, missing_image=missing_image, image_source=image_source
    )
    settings = TaggingSettings(
        model=model,
        adapter=None if adapter is None else adapter_place(adapter),
        endpoint=endpoint,
        constraint=constraint,
        concurrency=concurrency,
        scores=scores,
        examples=examples,
        num_examples=num_examples,
        choose=choose,
        context=context,
        batch_size=batch_size,
        constrained=constrained,
        threshold=threshold,
        engine=engine,
        vllm=tuple(vllm or ()),
        segmentation=segmentation,
        generated=image_source == "generated",
    )
    tag(source, settings, output=output, labels=labels, workers=workers, attention=attention, order=order)
