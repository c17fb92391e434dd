"""Label sets of the synthetic posts: what a type is called, how it is drawn, and how a text gives it away.

``COARSE`` is the one that the starter knows best, ``HELD_OUT`` the one that it has never seen: neither its names, nor
its words, nor its drawings. The others belong to level 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from instruct_mner.schema.labels import LabelSet


@dataclass(frozen=True)
class EntityType:
    """One type of a domain.

    Attributes:
        name: Label of the type.
        definition: One word, or a few, for what it is.
        share: Frequency with which it is drawn, among the types of its domain.
        drawings: Keys of ``DRAWINGS``, each as likely.
        prefixes: Beginnings of names that are of this type for sure.
        suffixes: Endings of such names; without a leading space they are glued to the last word.
        before: Words before a name that point to this type.
        after: Words after it.
    """

    name: str
    definition: str
    share: float
    drawings: tuple[str, ...]
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """A label set with all that belongs to it."""

    name: str
    types: tuple[EntityType, ...]

    def label_set(self, *, definitions: bool = False) -> LabelSet:
        """Return the label set as tagging and training take it."""
        if definitions:
            return LabelSet.of({each.name: each.definition for each in self.types})
        return LabelSet.of([each.name for each in self.types])

    def prior(self) -> tuple[float, ...]:
        """Return the share of each type; they sum to 1."""
        return tuple(each.share for each in self.types)


_PERSON = EntityType(
    "PER", "person", 0.32, ("figure", "bust"),
    ("Mr ", "Dr ", "Coach ", "Miss "), ("son", "ez", "ova", "man", "sky"),
    ("met", "hugged", "married", "interviewed", "happy birthday", "dinner with"),
    ("and his mom", "just got married", "is smiling", "and her dad"),
)  # fmt: skip
_PLACE = EntityType(
    "LOC", "place", 0.26, ("skyline", "mountain"),
    ("Mount ", "Lake ", "North ", "Port "), ("ville", "burg", "stan", "port", "land"),
    ("landed in", "driving to", "the streets of", "living in", "weather in", "flight from"),
    ("by night", "airport", "is sunny", "city centre"),
)  # fmt: skip
_GROUP = EntityType(
    "ORG", "group", 0.22, ("badge", "shield", "hexagon"),
    ("Team ", "Bank of ", "Radio "), (" Inc", " FC", " Group", " Labs", " Union"),
    ("shares of", "works at", "the CEO of", "hired by", "members of"),
    ("is hiring", "signed a deal", "shares fell", "voted no"),
)  # fmt: skip
_THING = EntityType(
    "MISC", "thing", 0.20, ("cup", "car", "phone"),
    ("New ", "iX "), (" Pro", " Cup", " Fest", " Mini", " X2"),
    ("bought a", "unboxing the", "my new", "tickets for", "charging my"),
    ("broke down", "is sold out", "final tonight", "manual"),
)  # fmt: skip
COARSE = Domain("coarse", (_PERSON, _PLACE, _GROUP, _THING))

HELD_OUT = Domain(
    "held-out",
    (
        EntityType(
            "ANIMAL", "creature", 0.30, ("fish", "cat"),
            ("Little ", "Sir "), ("paw", "fin", "whisker", "tail"),
            ("fed", "petting", "adopted", "the vet saw", "a treat for"),
            ("is purring", "chased a bug", "got a bath", "is asleep"),
        ),
        EntityType(
            "PLANT", "plant", 0.26, ("tree", "flower"),
            ("Garden ", "Wild "), ("wood", "leaf", "blossom", "root"),
            ("watering", "planted", "the roots of", "pruned the", "shade of"),
            ("is in bloom", "lost its leaves", "needs soil", "grew tall"),
        ),
        EntityType(
            "FOOD", "meal", 0.22, ("cone", "pizza"),
            ("Spicy ", "Double "), (" Melt", " Delight", " Crunch", " Slice"),
            ("ate a", "ordered the", "recipe for", "hungry for", "baked a"),
            ("tastes sweet", "with extra cheese", "melted", "was yummy"),
        ),
        EntityType(
            "TOOL", "tool", 0.22, ("hammer", "key"),
            ("Steel ", "Turbo "), (" Grip", " Kit", " Master", " 3000"),
            ("fixed it with", "rusty", "hit it with", "unlocked it with", "the handle of"),
            ("got stuck", "is rusty", "is in the shed", "fell off the bench"),
        ),
    ),
)  # fmt: skip

# COARSE under names that nobody has seen, with definitions in words that the starter knows.
RENAMED = Domain(
    "renamed",
    tuple(replace(each, name=name) for each, name in zip(COARSE.types, ("WHO", "SPOT", "CREW", "STUFF"), strict=True)),
)

_FINE_NAMES = {
    "figure": ("athlete", _PERSON), "bust": ("artist", _PERSON),
    "skyline": ("city", _PLACE), "mountain": ("peak", _PLACE),
    "shield": ("club", _GROUP), "badge": ("brand", _GROUP),
    "car": ("vehicle", _THING), "phone": ("gadget", _THING),
}  # fmt: skip
_FINE_WORDS = {
    "figure": (("scored against", "the coach of"), ("won the race", "ran home")),
    "bust": (("a song by", "the album of"), ("on stage", "sang it")),
    "skyline": (("landed in", "the streets of"), ("airport", "city centre")),
    "mountain": (("climbed", "snow on"), ("summit", "is steep")),
    "shield": (("fans of", "members of"), ("lost again", "signed a striker")),
    "badge": (("shares of", "the CEO of"), ("is hiring", "shares fell")),
    "car": (("driving my", "parked the"), ("broke down", "needs fuel")),
    "phone": (("charging my", "unboxing the"), ("has no signal", "is sold out")),
}
FINE = Domain(
    "fine",
    tuple(
        EntityType(
            f"{parent.name.lower()}-{name}", name, 0.125, (kind,), parent.prefixes, parent.suffixes, *_FINE_WORDS[kind]
        )
        for kind, (name, parent) in _FINE_NAMES.items()
    ),
)

HOME = Domain(
    "home",
    (
        EntityType(
            "BUILDING", "building", 0.3, ("house", "lighthouse"),
            ("Old ", "Villa "), (" House", " Hall", " Tower"),
            ("moved into", "the roof of", "a tour of"), ("has a new door", "burned down", "is for rent"),
        ),
        EntityType(
            "MUSIC", "instrument", 0.26, ("guitar", "drum"),
            ("Electric ", "Golden "), (" Sound", " Bass", " Six"),
            ("played the", "tuning my", "a solo on"), ("is out of tune", "sounds loud", "needs strings"),
        ),
        EntityType(
            "SPORT", "sport", 0.24, ("ball", "racket"),
            ("Super ", "Speed "), (" Open", " League", " Game"),
            ("practice for", "kicked the", "a match of"), ("went out", "hit the net", "match point"),
        ),
        EntityType(
            "WEAR", "clothing", 0.20, ("shirt", "hat"),
            ("Slim ", "Retro "), (" Style", " Look", " Fit"),
            ("wearing", "tried on", "ironing my"), ("fits well", "has a hole", "is in fashion"),
        ),
    ),
)  # fmt: skip

DOMAINS = {each.name: each for each in (COARSE, FINE, RENAMED, HOME, HELD_OUT)}
