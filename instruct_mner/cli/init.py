"""``instruct-mner init``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from instruct_mner.cli.options import BaseModelOption, ColumnOption, DevShareOption, ImagesOption


def run(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make, new or empty.")],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Posts of your own, of any kind that import reads. Default: twelve example posts."
        ),
    ] = None,
    images: ImagesOption = None,
    column: ColumnOption = None,
    split: DevShareOption = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --split.")] = 0,
    model: BaseModelOption = None,
) -> None:
    """Write a commented config, and posts to start from: twelve examples with pictures, or your own.

    Of your own posts a share is held out to choose the checkpoint, and the types are those that stand in them.
    """
    from instruct_mner.quickstart.project import DEFAULT_MODEL, write_own_project, write_project

    if data is None:
        config, posts = write_project(folder, model=model or DEFAULT_MODEL)
        wrote = f"wrote {posts}, twelve annotated posts, and their pictures"
    else:
        from instruct_mner.data.importing.writing import ImportOptions

        options = ImportOptions(images=images, columns=column or ())
        config, own = write_own_project(folder, data, options, model=model or DEFAULT_MODEL, share=split, seed=seed)
        for note in own.notes:
            typer.echo(note, err=True)
        posts = own.train
        wrote = "wrote " + ", ".join(str(path) for path in (own.train, own.dev, own.test) if path is not None)
    typer.echo(f"""wrote {config}, all settings with a word on each
{wrote}

next, one after the other:
  instruct-mner validate {quote(str(posts))}
  instruct-mner finetune {quote(str(config))} --dry-run
  instruct-mner finetune {quote(str(config))}""")
