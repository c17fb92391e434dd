"""Twelve made-up posts with pictures, gold entities and boxes, to start from and to try things on.

They show what real posts hold: retweets, handles, hashtags, emoji, a post without entities, one without a
picture, one name twice, and one text under two pictures, which alone say whether Jordan is a person or a place.
Names of people, places and things are invented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.files import write_error
from instruct_mner.quickstart.example_pictures import DRAWINGS, Drawing, draw
from instruct_mner.schema.records import Box, Entity, Example


@dataclass(frozen=True)
class _Mention:
    """An entity: its surface, its label, and which part of the picture shows it, if any does."""

    surface: str
    label: str
    part: str | None = None


@dataclass(frozen=True)
class _Post:
    """A post: its text, its mentions in text order, and whether it has a picture, which bears its name."""

    name: str
    text: str
    mentions: tuple[_Mention, ...] = ()


_POSTS = (
    _Post(
        "friend",
        "Jordan was the best part of my summer 😍",
        (_Mention("Jordan", "PER", "person"),),
    ),
    _Post(
        "desert",
        "Jordan was the best part of my summer 😍",
        (_Mention("Jordan", "LOC", "land"),),
    ),
    _Post(
        "skyline",
        "RT @quiet_owl : Sunrise over Port Alder , no filter #nofilter",
        (_Mention("Port Alder", "LOC", "city"),),
    ),
    _Post(
        "badge",
        "First day at Northwind Labs and they spelled my name right !!",
        (_Mention("Northwind Labs", "ORG", "badge"),),
    ),
    _Post(
        "crest",
        "FT : Bright Fox FC 2 - 0 Harbour United . What a derby",
        (_Mention("Bright Fox FC", "ORG", "crest"), _Mention("Harbour United", "ORG")),
    ),
    _Post(
        "phone",
        "my Pebble 7 fell ONE time . one . time . 😭",
        (_Mention("Pebble 7", "MISC", "phone"),),
    ),
    _Post(
        "stage",
        "Anna Keller and Tom Okafor live tonight , still shaking",
        (_Mention("Anna Keller", "PER", "left"), _Mention("Tom Okafor", "PER", "right")),
    ),
    _Post(
        "coffee",
        "Mina before coffee is not the Mina you know",
        (_Mention("Mina", "PER", "person"), _Mention("Mina", "PER", "person")),
    ),
    _Post("cup", "good morning everyone , be kind to your monday ☕"),
    _Post(
        "question",
        "@lena_kx are you going to the Lantern Festival in Millbrook ? #weekend",
        (_Mention("Lantern Festival", "MISC"), _Mention("Millbrook", "LOC")),
    ),
    _Post(
        "mayor",
        "BREAKING : Mayor Rosa Lindqvist cuts the ribbon at the new Eastmoor Bridge",
        (_Mention("Rosa Lindqvist", "PER", "person"), _Mention("Eastmoor Bridge", "LOC", "bridge")),
    ),
    _Post(
        "television",
        "nobody text me until #GalaxyBakers is over http://t.co/x7Qa",
        (_Mention("GalaxyBakers", "MISC", "screen"),),
    ),
)


def dozen() -> tuple[Example, ...]:
    """Return the twelve posts; their pictures are named as :func:`write_dozen` places them."""
    return tuple(_example(post) for post in _POSTS)


def write_dozen(folder: Path) -> Path:
    """Write the twelve posts as JSONL, the native format, with their pictures.

    Args:
        folder: Folder of ``posts.jsonl`` and ``pictures/``; made where it is missing.

    Returns:
        The path of ``posts.jsonl``.

    Raises:
        DataError: It cannot be written.
    """
    path = folder / "posts.jsonl"
    write_jsonl(path, dozen())
    for name in DRAWINGS:
        picture = folder / _picture(name)
        try:
            picture.parent.mkdir(exist_ok=True)
            draw(name).image.save(picture)
        except OSError as error:
            raise write_error(picture, error) from None
    return path


def _picture(name: str) -> str:
    return f"pictures/{name}.png"


def _example(post: _Post) -> Example:
    drawing = draw(post.name) if post.name in DRAWINGS else None
    return Example(
        id=post.name,
        text=post.text,
        images=() if drawing is None else (_picture(post.name),),
        entities=tuple(_entities(post, drawing)),
    )


def _entities(post: _Post, drawing: Drawing | None) -> Iterator[Entity]:
    end = 0
    for mention in post.mentions:
        start = post.text.index(mention.surface, end)
        end = start + len(mention.surface)
        boxes: tuple[Box, ...] = ()
        if drawing is not None and mention.part is not None:
            boxes = (Box(box=drawing.boxes[mention.part]),)
        yield Entity(start=start, end=end, text=mention.surface, label=mention.label, boxes=boxes)
