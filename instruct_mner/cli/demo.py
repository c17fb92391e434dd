"""``instruct-mner demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.output import announce


def run(
    output: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of data, adapter and page; replaced if a demo made it."),
    ] = Path("demo"),
    posts: Annotated[int, typer.Option(min=32, help="Number of posts to fine-tune on.")] = 1000,
    test_posts: Annotated[int, typer.Option(min=16, help="Number of posts to score.")] = 120,
    serve: Annotated[bool, typer.Option(help="Tag through 'serve' as well, where vLLM is installed.")] = True,
) -> None:
    """Show the whole way on the starter model: make posts, tag, fine-tune, tag again, score, and a page to look at.

    It downloads nothing and takes some minutes on two cores.
    """
    from instruct_mner.console import name_work
    from instruct_mner.files import exclusive
    from instruct_mner.quickstart.demo_folder import check_demo_folder

    check_demo_folder(output)
    announce("demo: loading the libraries")
    from instruct_mner.quickstart.demo import DemoSize, demo

    name_work("demo")

    with exclusive(output):
        demo(output, DemoSize(train=posts, dev=max(16, posts // 6), test=test_posts, served=serve))
