"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.schema.choices import Decode, LabelColumn

ImagesOption = Annotated[Path | None, typer.Option(help="Folder of the pictures.", metavar="DIR")]
DecodeOption = Annotated[Decode, typer.Option(help="Rule that turns BIO tags into entities.")]
LabelColumnOption = Annotated[LabelColumn, typer.Option(help="Column of labels, where the format has both (fmnerg).")]
XmlOption = Annotated[Path | None, typer.Option(help="Folder of the boxes of gmner and fmnerg.", metavar="DIR")]
