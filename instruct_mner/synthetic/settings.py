"""Settings of the synthetic distribution, and the objects and mentions that are drawn from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from instruct_mner.synthetic.label_sets import COARSE, Domain
from instruct_mner.synthetic.vocabulary import Split

COLOURS = ("red", "blue", "green", "yellow", "purple", "orange")
_QUADRANTS = ("top left", "top right", "bottom left", "bottom right")
_CORNERS = ("north west", "north east", "south west", "south east")
_NINTHS = ("top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right")
_WINDS = ("north west", "north", "north east", "west", "centre", "east", "south west", "south", "south east")

CUES = ("colour", "place", "letters", "none")


@dataclass(frozen=True)
class Synthesis:
    """Distribution of the posts; the switches of ``instruct-mner synth``.

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
        """Return the same settings, with so large a share of linked names where a post has several."""
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
class DrawnObject:
    """An object of the picture.

    Attributes:
        type: Index of its type in the domain.
        drawing: Key of ``DRAWINGS``, or an invented one.
        colour: Index into ``COLOURS``.
        cell: Index into the places.
        letters: Letters that are written under it.
    """

    type: int
    drawing: str
    colour: int
    cell: int
    letters: str | None = None


@dataclass(frozen=True)
class DrawnMention:
    """A name in the text, and all that the text says about its type.

    Attributes:
        start: First character.
        end: One past the last.
        type: Index of its type.
        core: First random word of the name, without affixes, in lower case.
        affix: Affix that gives its type away, if there is one.
        phrase: Words around it that point to a type, if any do.
        cue: A key of ``CUES``.
        says: The colour or cell that the text names, as an index.
        cue_end: One past the last character of the words that link it to its object; where the letters do, or
            nothing does, one past the second letter of its core.
        object_index: Index of its object, if the picture belongs to the post.
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
    object_index: int | None
