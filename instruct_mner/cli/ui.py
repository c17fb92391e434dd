"""``instruct-mner ui``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli import serve


def run(
    adapter: Annotated[
        str | None, typer.Argument(metavar="[ADAPTER]", help="Run folder of 'finetune'; left out with --model.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model that is asked untuned: a hub name, a folder, starter or smollm2.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8000,
    dtype: Annotated[str, typer.Option(help="Data type of the weights: auto, bfloat16, float32.")] = "auto",
    keys: Annotated[
        Path | None, typer.Option(help="File of API keys, as of serve.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Serve one model on this machine, with a page at / to try it: a text, a picture, entity types, a threshold.

    It is `serve` with its defaults; that command has all other settings.
    """
    serve.run([] if adapter is None else [adapter], model=model, port=port, dtype=dtype, keys=keys)
