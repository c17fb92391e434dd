"""Synthetic posts: a text with names, and a picture of what they name, drawn from a model that is known in full.

A post has 0 to 4 mentions. Most names say nothing about their type; a few have an affix, and some sentences have words
that point to a type (and lie now and then). The picture shows one object for each mention, and at level 1 some that
nobody mentions. Where there are several, the text links a name to its object by colour or place, or the picture by
the first two letters of the name. A fifth of the pictures belong to another post. Because all of this is drawn from
known distributions, the posterior of the types can be summed: see :mod:`instruct_mner.starter.bayes`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from instruct_mner.records import Box, Entity, Example
from instruct_mner.starter.domains import COARSE, Domain, EntityType
from instruct_mner.starter.words import Clause, Split, clause, filler, letters, syllables, word

COLOURS = ("red", "blue", "green", "yellow", "purple", "orange")
_QUADRANTS = ("top left", "top right", "bottom left", "bottom right")
_CORNERS = ("north west", "north east", "south west", "south east")
_NINTHS = ("top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right")
_WINDS = ("north west", "north", "north east", "west", "centre", "east", "south west", "south", "south east")

CUES = ("colour", "place", "letters", "none")


@dataclass(frozen=True)
class Synthesis:
    """What posts are drawn from; the switches of ``instruct-mner synth``.

    Attributes:
        domain: The label set.
        level: 0 for quadrants and one object a mention; 1 for a free layout on larger pictures, with objects that
            nobody mentions.
        split: Whose syllables and sentences are used.
        linking: ``places``, or ``winds``, the style that the starter has never seen.
        unrelated: Share of posts whose picture belongs to another.
        affixes: Share of names that tell their type.
        contexts: Share of sentences that point to a type.
        misleading: Share of these that point to a wrong one.
        cues_of_one: Shares of ``CUES`` where a post has one mention.
        cues_of_several: Shares of ``CUES`` where it has more.
        mentions: Shares of 0, 1, 2, 3 and 4 mentions.
    """

    domain: Domain = COARSE
    level: int = 0
    split: Split = "train"
    linking: str = "places"
    unrelated: float = 0.2
    affixes: float = 0.22
    contexts: float = 0.35
    misleading: float = 0.08
    cues_of_one: tuple[float, ...] = (0.12, 0.12, 0.16, 0.60)
    cues_of_several: tuple[float, ...] = (0.36, 0.36, 0.22, 0.06)
    mentions: tuple[float, ...] = (0.08, 0.34, 0.34, 0.16, 0.08)

    def with_cues(self, share: float) -> Synthesis:
        """The same, with so large a share of linked names where a post has several."""
        linked = sum(self.cues_of_several[:3])
        scaled = tuple(each / linked * share for each in self.cues_of_several[:3])
        return replace(self, cues_of_several=(*scaled, 1 - share))

    @property
    def places(self) -> tuple[str, ...]:
        """The words for the cells of the picture, row by row; there are 4 or 9."""
        if self.linking == "winds":
            return _WINDS if self.level else _CORNERS
        return _NINTHS if self.level else _QUADRANTS

    @property
    def extras(self) -> tuple[float, ...]:
        """Shares of 0, 1 and 2 objects that nobody mentions."""
        return (0.4, 0.35, 0.25) if self.level else (1.0,)

    def cues(self, num_mentions: int) -> tuple[float, ...]:
        """Shares of ``CUES``."""
        return self.cues_of_one if num_mentions == 1 else self.cues_of_several


@dataclass(frozen=True)
class Shown:
    """An object of the picture.

    Attributes:
        type: Index of its type in the domain.
        drawing: Key of ``DRAWINGS``.
        colour: Index into ``COLOURS``.
        cell: Index into the places.
        letters: What is written under it.
    """

    type: int
    drawing: str
    colour: int
    cell: int
    letters: str | None = None


@dataclass(frozen=True)
class Mention:
    """A name in the text, and all that the text says about its type.

    Attributes:
        start: First character.
        end: One past the last.
        type: Index of its type.
        core: Its first random word, without affixes, in lower case.
        affix: What gives its type away, if anything does.
        phrase: Words around it that point to a type, if any do.
        cue: A key of ``CUES``.
        says: The colour or cell that the text names, as an index.
        cue_end: One past the last character of the words that link it to its object; where the letters do, or
            nothing does, one past the second letter of its core.
        shown: Index of its object, if the picture belongs to the post.
    """

    start: int
    end: int
    type: int
    core: str
    affix: str | None
    phrase: str | None
    cue: str
    says: int | None
    cue_end: int
    shown: int | None


@dataclass(frozen=True)
class Post:
    """A post with everything that is known of it.

    Attributes:
        text: Its text.
        mentions: In text order.
        objects: What the picture shows.
        related: Whether the picture belongs to the text.
        seed: Of the picture's jitter and clutter.
    """

    text: str
    mentions: tuple[Mention, ...]
    objects: tuple[Shown, ...]
    related: bool
    seed: int
    synthesis: Synthesis = field(repr=False)

    def example(self, identifier: str, image: str | None, boxes: tuple[tuple[int, int, int, int], ...]) -> Example:
        """The post in the native format.

        Args:
            identifier: Its id.
            image: Name of its picture; ``None`` leaves it out, and the boxes.
            boxes: Pixels of each object.
        """
        names = [each.name for each in self.synthesis.domain.types]

        def where(mention: Mention) -> tuple[Box, ...] | None:
            if image is None:
                return None
            return () if mention.shown is None else (Box(image=0, box=boxes[mention.shown]),)

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


@dataclass(frozen=True)
class _Name:
    surface: str
    core: str
    core_start: int
    affix: str | None


@dataclass
class _Writer:
    """A text that grows, with the places of its mentions."""

    text: str = ""
    mentions: list[Mention] = field(default_factory=list)


def slice_of(post: Post, mention: Mention) -> str:
    """Under which heading a mention is counted: what links it to its object, or that nothing can."""
    if not post.related:
        return "unrelated picture"
    return f"{'one mention' if len(post.mentions) == 1 else 'several'}, {mention.cue}"


def posts(synthesis: Synthesis, seed: int) -> Iterator[Post]:
    """Posts without end; the same seed gives the same ones."""
    rng = random.Random(f"{seed} {synthesis.split} {synthesis.level} {synthesis.domain.name} {synthesis.linking}")
    while True:
        yield _post(synthesis, rng)


def _post(synthesis: Synthesis, rng: random.Random) -> Post:
    count = rng.choices(range(len(synthesis.mentions)), synthesis.mentions)[0]
    types = rng.choices(range(len(synthesis.domain.types)), synthesis.domain.prior(), k=count)
    names = _names(synthesis, types, rng)
    cues = rng.choices(CUES, synthesis.cues(count), k=count)
    extras = rng.choices(range(len(synthesis.extras)), synthesis.extras)[0]
    own = _objects(synthesis, types, cues, [each.core for each in names], extras, rng)
    related = count > 0 and rng.random() >= synthesis.unrelated
    writer = _write(synthesis, types, names, cues, own, related, rng)
    objects = own if related else _unrelated(synthesis, rng)
    return Post(writer.text, tuple(writer.mentions), objects, related, rng.getrandbits(31), synthesis)


def _names(synthesis: Synthesis, types: list[int], rng: random.Random) -> list[_Name]:
    names: list[_Name] = []
    for index in types:
        core = word(rng, synthesis.split)
        while core in {each.core for each in names}:
            core = word(rng, synthesis.split)
        names.append(_name(synthesis, synthesis.domain.types[index], core, rng))
    return names


def _name(synthesis: Synthesis, kind: EntityType, core: str, rng: random.Random) -> _Name:
    num_words = rng.choices((1, 2, 3), (0.6, 0.34, 0.06))[0]
    surface = " ".join([core.title(), *(word(rng, synthesis.split).title() for _ in range(num_words - 1))])
    affix = rng.choice(kind.prefixes + kind.suffixes) if rng.random() < synthesis.affixes else None
    prefix = affix if affix in kind.prefixes else None
    surface = (prefix or "") + surface + ("" if prefix or affix is None else affix)
    if rng.random() < 0.04:
        surface = surface.lower()
    return _Name(surface, core, len(prefix or ""), affix)


def _objects(
    synthesis: Synthesis, types: list[int], cues: list[str], cores: list[str], extras: int, rng: random.Random
) -> tuple[Shown, ...]:
    """The objects of the mentions, in their order, and the extra ones."""
    domain = synthesis.domain.types
    shown = list(types) + rng.choices(range(len(domain)), synthesis.domain.prior(), k=extras)
    colours = rng.sample(range(len(COLOURS)), len(shown))
    cells = rng.sample(range(len(synthesis.places)), len(shown))
    written = [letters(core) if cue == "letters" else None for cue, core in zip(cues, cores, strict=True)]
    written += [None] * extras
    return tuple(
        Shown(kind, rng.choice(domain[kind].drawings), colour, cell, label)
        for kind, colour, cell, label in zip(shown, colours, cells, written, strict=True)
    )


def _unrelated(synthesis: Synthesis, rng: random.Random) -> tuple[Shown, ...]:
    """What the picture of some other post shows."""
    count = rng.choices(range(1, len(synthesis.mentions)), synthesis.mentions[1:])[0]
    types = rng.choices(range(len(synthesis.domain.types)), synthesis.domain.prior(), k=count)
    cues = rng.choices(CUES, synthesis.cues(count), k=count)
    cores = [rng.choice(syllables(synthesis.split)) for _ in range(count)]
    extras = rng.choices(range(len(synthesis.extras)), synthesis.extras)[0]
    return _objects(synthesis, types, cues, cores, extras, rng)


def _write(
    synthesis: Synthesis,
    types: list[int],
    names: list[_Name],
    cues: list[str],
    own: tuple[Shown, ...],
    related: bool,
    rng: random.Random,
) -> _Writer:
    """The text: sentences with a mention, in order, and fillers between them."""
    writer = _Writer(_greeting(synthesis, rng))
    separator = rng.choice((" . ", " ! ", " , ", " ... ", " & "))
    num_fillers = rng.choice((0, 0, 1, 1, 2)) if names else rng.choice((1, 2, 3))
    order: list[int | None] = [*range(len(names))]
    for _ in range(num_fillers):
        order.insert(rng.randint(0, len(order)), None)
    for position, index in enumerate(order):
        writer.text += separator if position else ""
        if index is None:
            writer.text += filler(rng, synthesis.split)
            continue
        around, phrase = _around(synthesis, types[index], rng)
        _mention(writer, synthesis, names[index], around, phrase, types[index], cues[index], own, index, related, rng)
    if rng.random() < 0.3:
        writer.text += " #" + rng.choice((word(rng, synthesis.split), word(rng, synthesis.split).title()))
    if rng.random() < 0.15:
        writer.text += " :)"
    return writer


def _greeting(synthesis: Synthesis, rng: random.Random) -> str:
    chance, handle = rng.random(), word(rng, synthesis.split)
    return f"RT @{handle} : " if chance < 0.12 else f"@{handle} " if chance < 0.25 else ""


def _around(synthesis: Synthesis, kind: int, rng: random.Random) -> tuple[Clause, str | None]:
    """The sentence around a mention, and the words in it that point to a type."""
    if rng.random() >= synthesis.contexts:
        return clause(rng, synthesis.split), None
    domain = synthesis.domain.types
    if rng.random() < synthesis.misleading:
        kind = rng.choice([other for other in range(len(domain)) if other != kind])
    phrase = rng.choice(domain[kind].before + domain[kind].after)
    chosen = ((phrase,), ()) if phrase in domain[kind].before else ((), (phrase,))
    return clause(rng, synthesis.split, *chosen), phrase


def _mention(
    writer: _Writer,
    synthesis: Synthesis,
    name: _Name,
    around: Clause,
    phrase: str | None,
    kind: int,
    cue: str,
    own: tuple[Shown, ...],
    index: int,
    related: bool,
    rng: random.Random,
) -> None:
    """Adds a sentence with its mention, and with the words that link it to its object."""
    before = after = ""
    says = {"colour": own[index].colour, "place": own[index].cell}.get(cue)
    if says is not None:
        words = COLOURS[says] if cue == "colour" else synthesis.places[says]
        before, after = rng.choice(((f"{words} ", ""), ("", f" ( {words} )"), ("", f" in {words}")))
    start = len(writer.text) + len(around.before) + len(before)
    end = start + len(name.surface)
    cue_end = start + name.core_start + 2
    if before:
        cue_end = start - 1
    elif after:
        cue_end = end + len(after.removesuffix(" )"))
    writer.text += around.before + before + name.surface + after + around.after
    writer.mentions.append(
        Mention(start, end, kind, name.core, name.affix, phrase, cue, says, cue_end, index if related else None)
    )
