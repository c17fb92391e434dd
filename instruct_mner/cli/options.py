"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.schema.choices import Decode, LabelColumn, LeakPolicy


def _below_one(share: float) -> float:
    """Return a share of posts that leaves some; click's ranges hold their ends."""
    if not 0 <= share < 1:
        raise typer.BadParameter(f"{share:g} is no share from 0, for none, to below 1")
    return share


ImagesOption = Annotated[Path | None, typer.Option(help="Folder of the pictures.", metavar="DIR")]
DecodeOption = Annotated[Decode, typer.Option(help="Rule that turns BIO tags into entities.")]
LabelColumnOption = Annotated[LabelColumn, typer.Option(help="Column of labels, where the format has both (fmnerg).")]
XmlOption = Annotated[Path | None, typer.Option(help="Folder of the boxes of gmner and fmnerg.", metavar="DIR")]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="ROLE=NAME",
        help="Column that holds id, text, tokens, tags, entities, images or context; meta=NAME carries one along. "
        "Columns without names go by number: tags=2. Repeatable.",
    ),
]
DevShareOption = Annotated[
    float,
    typer.Option(
        callback=_below_one,
        metavar="SHARE",
        help="Share of the posts that choose the checkpoint, where DATA has no splits: 0, for none, or more, below 1.",
    ),
]
BaseModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Base model: hub name or folder. Default: HuggingFaceTB/SmolVLM-256M-Instruct.",
        show_default=False,
    ),
]

ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with a run that was killed; the result is that of an unbroken run.")
]

LeaksOption = Annotated[
    LeakPolicy | None,
    typer.Option(
        help="Training posts that are also in a split of data.evaluate_on: refuse to train, drop them, or allow "
        "them and mark all that comes of the run as LEAKED. Overrides data.leaks.",
        show_default=False,
    ),
]
