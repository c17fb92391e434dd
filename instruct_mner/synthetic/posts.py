"""Synthetic posts: a text with names, and a picture of what they name, drawn from a model that is known in full.

A post has 0 to 4 mentions. Most names say nothing about their type; a few have an affix, and some sentences have words
that point to a type (and lie now and then). The picture shows one object for each mention, and at level 1 some that
nobody mentions. Where there are several, the text links a name to its object by colour or place, or the picture by
the first two letters of the name. A fifth of the pictures belong to another post. Because all of this is drawn from
known distributions, the posterior of the types can be summed: see :mod:`instruct_mner.synthetic.posterior`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from instruct_mner.schema.records import Box, Entity, Example
from instruct_mner.synthetic.settings import COLOURS, CUES, DrawnMention, DrawnObject, Synthesis
from instruct_mner.synthetic.text import names_of, write
from instruct_mner.synthetic.vocabulary import letters, syllables


@dataclass(frozen=True)
class SyntheticPost:
    """A post with everything that is known of it.

    Attributes:
        text: Text of the post.
        mentions: Mentions in text order.
        objects: Objects that the picture shows.
        related: True where the picture belongs to the text.
        seed: Seed of the picture's jitter and clutter.
    """

    text: str
    mentions: tuple[DrawnMention, ...]
    objects: tuple[DrawnObject, ...]
    related: bool
    seed: int
    synthesis: Synthesis = field(repr=False)

    def example(self, identifier: str, image: str | None, boxes: tuple[tuple[int, int, int, int], ...]) -> Example:
        """Return the post in the native format.

        Args:
            identifier: Id of the post.
            image: Name of its picture; ``None`` leaves it out, and the boxes.
            boxes: Pixels of each object.
        """
        names = [each.name for each in self.synthesis.domain.types]

        def where(mention: DrawnMention) -> tuple[Box, ...] | None:
            if image is None:
                return None
            return () if mention.object_index is None else (Box(image=0, box=boxes[mention.object_index]),)

        entities = tuple(
            Entity(
                start=each.start,
                end=each.end,
                text=self.text[each.start : each.end],
                label=names[each.type],
                boxes=where(each),
            )
            for each in self.mentions
        )
        return Example(id=identifier, text=self.text, images=() if image is None else (image,), entities=entities)


def slice_of(post: SyntheticPost, mention: DrawnMention) -> str:
    """Under which heading a mention is counted: what links it to its object, or that nothing can."""
    if not post.related:
        return "unrelated picture"
    return f"{'one mention' if len(post.mentions) == 1 else 'several'}, {mention.cue}"


def posts(synthesis: Synthesis, seed: int) -> Iterator[SyntheticPost]:
    """Yield posts without end; the same seed gives the same ones."""
    rng = random.Random(f"{seed} {synthesis.split} {synthesis.level} {synthesis.domain.name} {synthesis.linking}")
    while True:
        yield _post(synthesis, rng)


def _post(synthesis: Synthesis, rng: random.Random) -> SyntheticPost:
    count = rng.choices(range(len(synthesis.mentions)), synthesis.mentions)[0]
    types = rng.choices(range(len(synthesis.domain.types)), synthesis.domain.prior(), k=count)
    names = names_of(synthesis, types, rng)
    cues = rng.choices(CUES, synthesis.cues(count), k=count)
    extras = rng.choices(range(len(synthesis.extras)), synthesis.extras)[0]
    own = _objects(synthesis, types, cues, [each.core for each in names], extras, rng)
    related = count > 0 and rng.random() >= synthesis.unrelated
    writer = write(synthesis, types, names, cues, own, related, rng)
    objects = own if related else _unrelated(synthesis, rng)
    return SyntheticPost(writer.text, tuple(writer.mentions), objects, related, rng.getrandbits(31), synthesis)


def _objects(
    synthesis: Synthesis, types: list[int], cues: list[str], cores: list[str], extras: int, rng: random.Random
) -> tuple[DrawnObject, ...]:
    """Return the objects of the mentions, in their order, and the extra ones."""
    domain = synthesis.domain.types
    kinds = list(types) + rng.choices(range(len(domain)), synthesis.domain.prior(), k=extras)
    colours = rng.sample(range(len(COLOURS)), len(kinds))
    cells = rng.sample(range(len(synthesis.places)), len(kinds))
    written = [letters(core) if cue == "letters" else None for cue, core in zip(cues, cores, strict=True)]
    written += [None] * extras
    return tuple(
        DrawnObject(kind, rng.choice(domain[kind].drawings), colour, cell, label)
        for kind, colour, cell, label in zip(kinds, colours, cells, written, strict=True)
    )


def _unrelated(synthesis: Synthesis, rng: random.Random) -> tuple[DrawnObject, ...]:
    """Return the objects of the picture of some other post."""
    count = rng.choices(range(1, len(synthesis.mentions)), synthesis.mentions[1:])[0]
    types = rng.choices(range(len(synthesis.domain.types)), synthesis.domain.prior(), k=count)
    cues = rng.choices(CUES, synthesis.cues(count), k=count)
    cores = [rng.choice(syllables(synthesis.split)) for _ in range(count)]
    extras = rng.choices(range(len(synthesis.extras)), synthesis.extras)[0]
    return _objects(synthesis, types, cues, cores, extras, rng)
