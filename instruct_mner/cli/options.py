"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

ImagesOption = Annotated[Path | None, typer.Option(help="Folder of the pictures.", metavar="DIR")]
LabelColumnOption = Annotated[
    Literal["coarse", "fine"], typer.Option(help="Which column of labels, where the format has both (fmnerg).")
]
XmlOption = Annotated[Path | None, typer.Option(help="Folder of the boxes of gmner and fmnerg.", metavar="DIR")]
