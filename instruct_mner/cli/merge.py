"""``instruct-mner merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    adapter: Annotated[Path, typer.Argument(help="The adapter, or the run folder of one.")],
    output: Annotated[Path, typer.Argument(help="Folder of the whole model; must not exist.")],
    model: Annotated[str | None, typer.Option(help="Where the base lies now, if not where mner.json says.")] = None,
) -> None:
    """Merge an adapter into its base, freshly loaded in bfloat16; the result is a whole model."""
    from instruct_mner.console import quiet_libraries

    quiet_libraries()
    from instruct_mner.models.merging import merge_adapter

    typer.echo(merge_adapter(adapter, output, base_model=model))
