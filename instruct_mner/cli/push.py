"""``instruct-mner push``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.output import announce


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of finetune, or its adapter or model.")],
    name: Annotated[str, typer.Argument(metavar="USER/NAME", help="Repository of the hub; made if it is not there.")],
    *,
    report: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Scores for the card: what 'evaluate GOLD PRED --json --run RUN' printed; repeatable."
        ),
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Base on the hub, where the run was trained on a folder.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="NAME", help="Licence of the weights: apache-2.0, mit, …")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Let all see a new repository; private by default.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the card and the files; upload nothing.")] = False,
) -> None:
    """Upload a run with its model card to the Hugging Face hub; the token is that of HF_TOKEN.

    Weights as safetensors, JSON, the prompt and the card go there, and nothing else of the folder.
    """
    announce(f"push: reading {folder}")
    from instruct_mner.publishing.push import prepare_upload, push

    upload = prepare_upload(folder, name, reports=report or (), base=base_model, licence=licence)
    for line in upload.describe():
        typer.echo(line, err=True)
    typer.echo(upload.card if dry_run else push(upload, public=public))
