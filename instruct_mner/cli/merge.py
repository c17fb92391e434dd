"""``instruct-mner merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.output import announce


def run(
    adapter: Annotated[
        str, typer.Argument(help="Folder of the adapter, its run folder, or its hub name, user/name[@revision].")
    ],
    output: Annotated[Path, typer.Argument(help="Folder of the merged model; must not exist.")],
    model: Annotated[str | None, typer.Option(help="Base of the adapter, if it is not where mner.json says.")] = None,
) -> None:
    """Merge an adapter into its base, freshly loaded in bfloat16; the result is a whole model."""
    announce(f"merge: loading {adapter}")
    from instruct_mner.models.locations import adapter_place
    from instruct_mner.models.tuned import check_merge

    folder = adapter_place(adapter)
    check_merge(folder, output)  # before torch, which the merging brings
    from instruct_mner.models.merging import merge_adapter

    typer.echo(merge_adapter(folder, output, base_model=model))
