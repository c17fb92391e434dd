"""``instruct-mner init``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer


def run(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make, new or empty.")],
) -> None:
    """Write a commented config and twelve example posts with pictures, to start from."""
    from instruct_mner.quickstart.project import write_project

    config, posts = write_project(folder)
    typer.echo(f"""wrote {config}, all settings with a word on each
wrote {posts}, twelve annotated posts, and their pictures

next, one after the other:
  instruct-mner validate {quote(str(posts))}
  instruct-mner finetune {quote(str(config))} --dry-run
  instruct-mner finetune {quote(str(config))}""")
