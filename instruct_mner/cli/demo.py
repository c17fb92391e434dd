"""``instruct-mner demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    output: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Where to leave data, model and page; replaced if a demo made it."),
    ] = Path("demo"),
) -> None:
    """Show the way of the data: a tiny model learns twelve posts by heart, with a page to look at.

    It downloads nothing and takes about a minute. The model is made on the spot and can do nothing else.
    """
    from instruct_mner.starter.demo import demo

    demo(output)
