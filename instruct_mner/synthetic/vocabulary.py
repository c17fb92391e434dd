"""The wording of synthetic posts: names of random syllables and sentences around them.

The syllables and the sentences of train, dev and test are disjoint. The words are the same, above all those that point
to a type, for they are what is to be learned; half of the sentences of train are such words in a random order.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from instruct_mner.synthetic.label_sets import DOMAINS

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

_ONSETS = (*"bcdfghjklmnprstvwz", "br", "ch", "dr", "fl", "gr", "kl", "pr", "sh", "sk", "st", "th", "tr")
_VOWELS, _CODAS = "aeiou", ("", "", "n", "r", "l", "s", "m", "x", "t", "nd", "rk", "ck")

# Suffixes that are written without a space.
GLUED = tuple(
    sorted({end for domain in DOMAINS.values() for each in domain.types for end in each.suffixes if end[0] != " "})
)

# The shares of the syllables that the splits have.
_CUTS = {"train": (0.0, 0.7), "dev": (0.7, 0.85), "test": (0.85, 1.0)}

ADJECTIVES = ("great", "awful", "amazing", "boring", "lovely", "wild", "huge", "weird", "perfect", "crazy", "happy",
              "loud", "quiet", "fresh", "old", "epic")  # fmt: skip
NOUNS = ("day", "night", "week", "morning", "show", "game", "photo", "story", "party", "class", "season", "trip",
         "summer", "winter", "lunch", "weekend")  # fmt: skip
ADVERBS = ("today", "tonight", "again", "finally", "now", "always", "lately", "still")

# A sentence with an entity: {U} is its clause. A sentence without.
_FRAMES = {
    "train": ("{U} {a}", "ok {U}", "{U} this {n}", "{j} {n} , {U}", "i say {U}", "{U}", "what a {n} : {U}", "wow {U}"),
    "dev": ("well {U}", "{U} all {n}", "such a {j} {n} {U}", "{a} {U}"),
    "test": ("honestly {U}", "{U} , {j} {n}", "this {n} {U}", "yes {U} {a}", "not sure {U}"),
}
_FILLERS = {
    "train": ("{j} {n} {a}", "what a {j} {n}", "no more {n} {a}", "Good {n} everyone", "LOL so {j}", "OMG",
              "my {n} was {j}", "New {n} , {j} {n}"),
    "dev": ("can not wait {a}", "the {n} is {j}", "so {j} {a}"),
    "test": ("{a} a {j} {n}", "best {n} ever", "oh well {a}", "it is {j} {n} time"),
}  # fmt: skip
_NEUTRAL_BEFORE = ("love", "need", "so much", "more", "nothing but", "thinking of", "look at", "all about", "for", "")
_NEUTRAL_AFTER = ("is great", "made my day", "you win", "is all i need", "for real", "and me", "never fails", "")


_ALL_WORDS = tuple(
    sorted({
        each
        for some in (_FRAMES, _FILLERS) for group in some.values() for sentence in group for each in sentence.split()
        if each[0] not in "{,:"
    } | {*ADJECTIVES, *NOUNS, *ADVERBS})
)  # fmt: skip

# What a name must not be.
_COMMON = frozenset(
    " ".join((*_ALL_WORDS, *_NEUTRAL_BEFORE, *_NEUTRAL_AFTER, "in the one for no so me my his her mom dad"))
    .lower()
    .split()
)


@lru_cache
def syllables(split: Split) -> tuple[str, ...]:
    """Return the syllables of a split, in a fixed random order; none is a suffix that gives a type away."""
    made = {onset + vowel + coda for onset in _ONSETS for vowel in _VOWELS for coda in _CODAS}
    everything = sorted(each for each in made if not each.endswith(GLUED) and each not in _COMMON)
    random.Random("syllables").shuffle(everything)
    start, end = (round(cut * len(everything)) for cut in _CUTS[split])
    return tuple(everything[start:end])


def word(rng: random.Random, split: Split) -> str:
    """One to three syllables, the first of which is any of the split's with the same probability.

    It never ends like a name whose suffix gives its type away, so that such a suffix is proof.
    """
    count = rng.choice((1, 2, 2, 2, 3))
    start = "".join(rng.choice(syllables(split)) for _ in range(count - 1))
    while (whole := start + rng.choice(syllables(split))).endswith(GLUED):
        pass
    return whole


def letters(core: str) -> str:
    """Return the letters drawn under an object to link it to a name: the first two of its core."""
    return core[:2].upper()


@lru_cache
def letter_shares(split: Split) -> dict[str, float]:
    """Return the probability of each pair of letters under the object of a random name."""
    shares: dict[str, float] = {}
    for syllable in syllables(split):
        shares[letters(syllable)] = shares.get(letters(syllable), 0.0) + 1 / len(syllables(split))
    return shares


def misspelled(text: str, rng: random.Random, share: float = 0.015) -> str:
    """Return the text with a letter dropped, doubled or moved in some of its longer words."""
    words = text.split(" ")
    for index, each in enumerate(words):
        if len(each) > 3 and each.isalpha() and rng.random() < share:
            at = rng.randrange(1, len(each) - 1)
            words[index] = rng.choice(
                (each[:at] + each[at + 1 :], each[:at] + each[at] + each[at:],
                 each[:at] + each[at + 1] + each[at] + each[at + 2 :])
            )  # fmt: skip
    return " ".join(words)


def _jumbled(rng: random.Random, most: int) -> str:
    """Up to so many words in a random order, with a space after each."""
    return "".join(f"{rng.choice(_ALL_WORDS)} " for _ in range(rng.randint(0, most)))


def _filled(template: str, rng: random.Random) -> str:
    for slot, choices in (("{j}", ADJECTIVES), ("{n}", NOUNS), ("{a}", ADVERBS)):
        while slot in template:
            template = template.replace(slot, rng.choice(choices), 1)
    return template


def rhymes() -> tuple[str, ...]:
    """Return the ends of the syllables, which all splits share."""
    return tuple(vowel + coda for vowel in _VOWELS for coda in _CODAS)


def wording() -> tuple[str, ...]:
    """Return sentences of all splits with every word that they may hold, for the tokenizer."""
    templates = [each for some in (_FRAMES, _FILLERS) for group in some.values() for each in group]
    words = " ".join((*ADJECTIVES, *NOUNS, *ADVERBS, *_NEUTRAL_BEFORE, *_NEUTRAL_AFTER))
    plain = [re.sub(r" ?\{.\} ?", " ", each).strip() for each in templates]
    return (*(each for each in plain if each), *words.split())


@dataclass(frozen=True)
class Clause:
    """Words around a mention: ``before + mention + after``."""

    before: str
    after: str


def clause(rng: random.Random, split: Split, before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Clause:
    """Return a sentence around a mention, with words that point to its type or neutral ones."""
    if not before and not after:
        before, after = _NEUTRAL_BEFORE, _NEUTRAL_AFTER
    lead = rng.random() < len(before) / (len(before) + len(after))
    left, right = (rng.choice(before), "") if lead else ("", rng.choice(after))
    unit = " ".join(part for part in (left, "\0", right) if part)
    frame = rng.choice(_FRAMES[split])
    if split == "train" and rng.random() < 0.5:
        frame = f"{_jumbled(rng, 3)}{{U}} {_jumbled(rng, 3)}".rstrip()
    sentence = misspelled(_filled(frame, rng), rng).replace("{U}", unit)
    first, second = sentence.split("\0")
    if rng.random() < 0.3 and first:
        first = first[0].upper() + first[1:]
    return Clause(first, second)


def filler(rng: random.Random, split: Split) -> str:
    """Return a sentence without an entity."""
    if split == "train" and rng.random() < 0.5:
        return misspelled((_jumbled(rng, 4) + rng.choice(_ALL_WORDS)).strip(), rng)
    return misspelled(_filled(rng.choice(_FILLERS[split]), rng), rng)
