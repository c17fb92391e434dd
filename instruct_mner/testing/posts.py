"""Posts that the tests train on and tag: made up, a picture of one colour each."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.schema.records import Box, Entity, Example

TEXTS = [
    ("RT @ user : Jordan dunks in Chicago", [("Jordan", "PER"), ("Chicago", "LOC")]),
    ("nothing to see here", []),
    ("Acme opens in Lagos", [("Acme", "ORG"), ("Lagos", "LOC")]),
    ("Mira met Mira at the Blue Cup", [("Mira", "PER"), ("Mira", "PER"), ("Blue Cup", "MISC")]),
    ("<image> Kofi \u2028 <|im_end|> wins", [("Kofi", "PER")]),
    ("日本 with Ana ! 😀", [("日本", "LOC"), ("Ana", "PER")]),
]
COLOURS = ["red", "green", "blue", "white", "orange", "purple"]


def make_posts(folder: Path, *, boxes: bool = True) -> Path:
    """Write posts and pictures, and return the JSONL; the second post has no picture."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for number, ((text, mentions), colour) in enumerate(zip(TEXTS, COLOURS, strict=True)):
        images = () if number == 1 else (f"{number}.png",)
        if images:
            Image.new("RGB", (90 + 10 * number, 80), colour).save(folder / images[0])
        examples.append(
            Example(
                id=f"post-{number}",
                text=text,
                images=images,
                entities=tuple(_entities(text, mentions, boxes)),
            )
        )
    path = folder / "posts.jsonl"
    write_jsonl(path, examples)
    return path


def _entities(text: str, mentions: list[tuple[str, str]], boxes: bool) -> list[Entity]:
    position, entities = 0, []
    for surface, label in mentions:
        start = text.index(surface, position)
        position = start + len(surface)
        seen = (Box(box=(5, 5, 40, 60)),) if label == "PER" else ()
        entities.append(Entity(start=start, end=position, text=surface, label=label, boxes=seen if boxes else None))
    return entities
