"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.schema.choices import Decode, LabelColumn

ImagesOption = Annotated[Path | None, typer.Option(help="Folder of the pictures.", metavar="DIR")]
DecodeOption = Annotated[Decode, typer.Option(help="How BIO tags become entities.")]
LabelColumnOption = Annotated[
    LabelColumn, typer.Option(help="Which column of labels, where the format has both (fmnerg).")
]
XmlOption = Annotated[Path | None, typer.Option(help="Folder of the boxes of gmner and fmnerg.", metavar="DIR")]
