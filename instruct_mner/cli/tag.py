"""``instruct-mner tag``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


class MissingImage(StrEnum):
    """What to do with posts whose picture is not there."""

    error = "error"
    text = "text"
    skip = "skip"


class ImageSource(StrEnum):
    """Which pictures posts are shown with."""

    own = "own"
    none = "none"
    shuffled = "shuffled"
    generated = "generated"


class Constraint(StrEnum):
    """What keeps a server's answers legal."""

    grammar = "grammar"
    schema = "schema"
    none = "none"


def run(
    input_: Annotated[
        str | None,
        typer.Argument(metavar="[INPUT]", help="DATA (a path or format:path), or - for JSONL on standard input."),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write, JSONL or .parquet; - is standard output.")
    ] = "-",
    text: Annotated[str | None, typer.Option(help="One post, instead of INPUT.")] = None,
    image: Annotated[Path | None, typer.Option(help="Its picture.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A base or fully tuned model: hub name or folder; or its name at the endpoint."),
    ] = None,
    adapter: Annotated[Path | None, typer.Option(help="An adapter, or the run folder of one.")] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A server with OpenAI's API; its key, if any, in OPENAI_API_KEY."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(help="transformers, vllm, or ray[:ENGINE]: on workers of as many machines as RAY_ADDRESS has."),
    ] = "transformers",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Ray: so many; default: one a GPU, or one a machine without any.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="PER,LOC or a YAML file (a list, or NAME: definition); default: the tuned ones."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures.")] = None,
    missing_image: Annotated[
        MissingImage, typer.Option(help="Posts whose picture is not there: stop, keep as text, or leave out.")
    ] = MissingImage.error,
    image_source: Annotated[
        ImageSource,
        typer.Option(
            help="Show each post with its own pictures, none, another post's (a baseline), or one generated from its "
            "text (models tuned with alignment.generative; not on endpoints)."
        ),
    ] = ImageSource.own,
    attention: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also draw what each mention looks at in its picture: a PNG each."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Posts tagged at once.")] = 8,
    constrained: Annotated[
        bool, typer.Option(help="Allow only answers that are legal on the post; leave it on.")
    ] = True,
    examples: Annotated[
        str | None, typer.Option(metavar="DATA", help="Annotated posts to show a model that was not tuned.")
    ] = None,
    num_examples: Annotated[int, typer.Option(min=1, help="So many of them.")] = 4,
    choose: Annotated[
        Literal["first", "nearest"],
        typer.Option(help="Which: the first, or for each post those most like it (a server: by words alone)."),
    ] = "first",
    context: Annotated[
        bool | None, typer.Option(help="Show captions, tags and OCR of the pictures; default: as tuned.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out entities of lower confidence (see calibrate).")
    ] = 0.0,
    constraint: Annotated[
        Constraint, typer.Option(help="Endpoint: grammar (vLLM), schema (JSON answers on other servers) or none.")
    ] = Constraint.grammar,
    concurrency: Annotated[int, typer.Option(min=1, help="Endpoint: requests at once.")] = 8,
    scores: Annotated[bool, typer.Option(help="Endpoint: ask for log-probabilities; without, scores are 1.")] = True,
    vllm: Annotated[
        list[str] | None, typer.Option("--vllm", help="A flag of vLLM's, as --vllm=--max-model-len=4096; repeatable.")
    ] = None,
) -> None:
    """Find the entities of posts; JSONL or Parquet in and out. A killed run goes on where it stopped."""
    from instruct_mner.errors import ConfigError
    from instruct_mner.tagging.input import Source
    from instruct_mner.tagging.run import tag
    from instruct_mner.tagging.settings import Asked

    if (input_ is None) == (text is None):
        raise ConfigError("give either INPUT or --text, for example: instruct-mner tag posts.jsonl --model DIR")
    if image is not None and text is None:
        raise ConfigError("--image is the picture of --text; posts of INPUT name their own, in the folder --images")
    source = Source(input_, text, image, images, missing_image.value, image_source.value)
    asked = Asked(
        model, adapter, endpoint, constraint.value, concurrency, scores, examples, num_examples, context,
        batch_size, constrained, threshold, choose, engine, tuple(vllm or ()),
        image_source is ImageSource.generated,
    )  # fmt: skip
    tag(source, asked, output=output, labels=labels, workers=workers, attention=attention)
