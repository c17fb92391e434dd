"""The text of a synthetic post: names, the sentences around them, and the words that link them to the picture."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from instruct_mner.synthetic.label_sets import EntityType
from instruct_mner.synthetic.settings import COLOURS, DrawnMention, DrawnObject, Synthesis
from instruct_mner.synthetic.vocabulary import Clause, clause, filler, word


@dataclass(frozen=True)
class Name:
    """A name: how it is written, its first random word, where that begins, and what gives its type away."""

    surface: str
    core: str
    core_start: int
    affix: str | None


@dataclass
class Writer:
    """A text that grows, with the places of its mentions."""

    text: str = ""
    mentions: list[DrawnMention] = field(default_factory=list)


def names_of(synthesis: Synthesis, types: Sequence[int], rng: random.Random) -> list[Name]:
    """Return a name for each mention, with different cores."""
    names: list[Name] = []
    for index in types:
        core = word(rng, synthesis.split)
        while core in {each.core for each in names}:
            core = word(rng, synthesis.split)
        names.append(_name(synthesis, synthesis.domain.types[index], core, rng))
    return names


def _name(synthesis: Synthesis, kind: EntityType, core: str, rng: random.Random) -> Name:
    num_words = rng.choices((1, 2, 3), (0.6, 0.34, 0.06))[0]
    surface = " ".join([core.title(), *(word(rng, synthesis.split).title() for _ in range(num_words - 1))])
    affix = rng.choice(kind.prefixes + kind.suffixes) if rng.random() < synthesis.affixes else None
    prefix = affix if affix in kind.prefixes else None
    surface = (prefix or "") + surface + ("" if prefix or affix is None else affix)
    if rng.random() < 0.04:
        surface = surface.lower()
    return Name(surface, core, len(prefix or ""), affix)


def write(
    synthesis: Synthesis,
    types: list[int],
    names: list[Name],
    cues: list[str],
    own: tuple[DrawnObject, ...],
    related: bool,
    rng: random.Random,
) -> Writer:
    """Return the text: sentences with a mention, in order, and fillers between them."""
    writer = Writer(_greeting(synthesis, rng))
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
    """Return the sentence around a mention, and the words in it that point to a type."""
    if rng.random() >= synthesis.contexts:
        return clause(rng, synthesis.split), None
    domain = synthesis.domain.types
    if rng.random() < synthesis.misleading:
        kind = rng.choice([other for other in range(len(domain)) if other != kind])
    phrase = rng.choice(domain[kind].before + domain[kind].after)
    chosen = ((phrase,), ()) if phrase in domain[kind].before else ((), (phrase,))
    return clause(rng, synthesis.split, *chosen), phrase


def _mention(
    writer: Writer,
    synthesis: Synthesis,
    name: Name,
    around: Clause,
    phrase: str | None,
    kind: int,
    cue: str,
    own: tuple[DrawnObject, ...],
    index: int,
    related: bool,
    rng: random.Random,
) -> None:
    """Add a sentence with its mention, and with the words that link it to its object."""
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
        DrawnMention(start, end, kind, name.core, name.affix, phrase, cue, says, cue_end, index if related else None)
    )
