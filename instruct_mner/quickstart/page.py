"""A page to look at: posts with their pictures, and what stands in them, side by side.

It is one file that needs nothing else: pictures are inside it, and there is no script.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from instruct_mner.files import replacing
from instruct_mner.images import open_image
from instruct_mner.schema.records import Entity, PredictedEntity

# Wider than a column of the page on a screen of two pixels to the point; more would only weigh.
_MAX_EDGE = 800
_NUM_COLOURS = 8
_TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True)
class PageColumn:
    """One view of a post: what is right, or what a model found.

    Attributes:
        title: ``gold``, ``predicted``, …
        entities: Entities in text order; flat.
        note: A word below them.
    """

    title: str
    entities: Sequence[Entity]
    note: str = ""


@dataclass(frozen=True)
class PagePost:
    """A post with its views.

    Attributes:
        text: The post.
        image: Picture of the post; boxes on further pictures are not shown.
        columns: Views of the post, side by side.
    """

    text: str
    image: Path | None
    columns: Sequence[PageColumn]


@dataclass(frozen=True)
class PageTable:
    """A table of scores: the heads of its columns, and its rows, the first cell of each its name."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class _Piece:
    """A stretch of text, with its entity where it is one."""

    text: str
    entity: Entity | None
    confidence: str = ""


@dataclass(frozen=True)
class _Picture:
    """A picture as it is shown, with its size before that."""

    source: str
    width: int
    height: int


@dataclass(frozen=True)
class _PlacedBox:
    """A box in percent of its picture."""

    entity: Entity
    style: str


def write_page(
    path: Path,
    *,
    title: str,
    notes: Sequence[str],
    rows: Sequence[PagePost],
    scores: PageTable,
    chart: bytes | None = None,
) -> None:
    """Write the page; it appears whole or not at all.

    Args:
        path: The HTML file.
        title: Title of the page.
        notes: Notes that are needed to read it, a paragraph each.
        rows: The posts.
        scores: The table above them.
        chart: The table as a picture, PNG.

    Raises:
        DataError: A picture cannot be opened, or the page cannot be written.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    labels = sorted({entity.label for row in rows for column in row.columns for entity in column.entities})
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        notes=notes,
        rows=rows,
        scores=scores,
        chart=None if chart is None else f"data:image/png;base64,{base64.b64encode(chart).decode('ascii')}",
        # Colours repeat where there are more labels than of them; the label stands beside every span.
        colour={label: index % _NUM_COLOURS for index, label in enumerate(labels)},
        picture=_picture,
        pieces=_pieces,
        boxes=_boxes,
        unseen=_unseen,
    )
    with replacing(path) as file:
        file.write(page)


def _pieces(text: str, entities: Sequence[Entity]) -> list[_Piece]:
    pieces = []
    end = 0
    for entity in entities:
        pieces.append(_Piece(text[end : entity.start], None))
        pieces.append(_Piece(entity.text, entity, _confidence(entity)))
        end = entity.end
    return [*pieces, _Piece(text[end:], None)]


def _confidence(entity: Entity) -> str:
    return f"{100 * entity.score:.0f} %" if isinstance(entity, PredictedEntity) else ""


def _boxes(entities: Sequence[Entity], picture: _Picture) -> list[_PlacedBox]:
    return [
        _PlacedBox(entity, _style(box.box, picture))
        for entity in entities
        for box in entity.boxes or ()
        if box.image == 0
    ]


def _style(box: tuple[float, float, float, float], picture: _Picture) -> str:
    """Percent, so that boxes grow and shrink with their picture."""
    x0, y0, x1, y1 = box
    left, top = 100 * x0 / picture.width, 100 * y0 / picture.height
    width, height = 100 * (x1 - x0) / picture.width, 100 * (y1 - y0) / picture.height
    return f"left:{left:.2f}%;top:{top:.2f}%;width:{width:.2f}%;height:{height:.2f}%"


def _unseen(entities: Sequence[Entity]) -> list[str]:
    """Return mentions that are predicted as not visible, each once."""
    return list(dict.fromkeys(entity.text for entity in entities if entity.boxes == ()))


@lru_cache(maxsize=1)
def _picture(path: Path) -> _Picture:
    image = open_image(path)
    width, height = image.size
    image.thumbnail((_MAX_EDGE, _MAX_EDGE))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=90)
    source = f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
    return _Picture(source, width, height)
