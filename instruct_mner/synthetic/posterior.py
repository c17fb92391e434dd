"""The exact posterior of the types of a synthetic post, and from it the best F1 that any tagger can reach.

It is conditional on perfect spans and on a perfectly seen picture and text: the posterior is over the types alone,
given the affixes, the words that point to a type, the linking words, and the objects with their types, colours, places
and letters. With perfect spans as many entities are predicted as there are, so precision, recall and F1 are all the
share of right types, and the best choice for each mention is its most probable type.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from instruct_mner.synthetic.posts import SyntheticPost, slice_of
from instruct_mner.synthetic.settings import COLOURS, CUES, DrawnMention, DrawnObject, Synthesis
from instruct_mner.synthetic.vocabulary import letter_shares, letters

Posterior = npt.NDArray[np.float64]


def posterior(post: SyntheticPost, *, with_picture: bool = True) -> Posterior:
    """Probability of each type for each mention, ``(mentions, types)``.

    Args:
        post: The post.
        with_picture: True where the picture is taken into account.
    """
    if not post.mentions:
        return np.zeros((0, len(post.synthesis.domain.types)))
    text = np.array([_text_likelihood(each, post.synthesis) for each in post.mentions]) * post.synthesis.domain.prior()
    if not with_picture:
        return np.asarray(text / text.sum(axis=1, keepdims=True))
    return _with_picture(post, text)


def _text_likelihood(mention: DrawnMention, synthesis: Synthesis) -> list[float]:
    """Probability of a mention's affix and phrase under each type."""
    likelihoods = []
    types = synthesis.domain.types
    for index, kind in enumerate(types):
        affixes = kind.prefixes + kind.suffixes
        if mention.affix is None:
            likelihood = 1 - synthesis.affixes
        else:
            likelihood = synthesis.affixes * affixes.count(mention.affix) / len(affixes)
        if mention.phrase is None:
            likelihood *= 1 - synthesis.contexts
        else:
            phrase_shares = [
                (kind.before + kind.after).count(mention.phrase) / len(kind.before + kind.after) for kind in types
            ]
            wrong = synthesis.misleading / (len(types) - 1)
            shares = [1 - synthesis.misleading if other == index else wrong for other in range(len(types))]
            likelihood *= synthesis.contexts * sum(a * b for a, b in zip(phrase_shares, shares, strict=True))
        likelihoods.append(likelihood)
    return likelihoods


def _with_picture(post: SyntheticPost, text: Posterior) -> Posterior:
    """Sum over whether the picture belongs to the text and, if so, over which object is whose.

    Args:
        post: The post.
        text: Joint probability of a type and of what the text says, ``(mentions, types)``.

    Factors that all hypotheses share, such as the probability of the colours and cells that are in use, are left out.
    """
    synthesis, objects, count = post.synthesis, post.objects, len(post.mentions)
    evidence = text.sum(axis=1)
    total = synthesis.unrelated * float(evidence.prod()) * _unlinked_words(post) * _other_picture(objects, synthesis)
    mass = total * text / evidence[:, None]
    num_extras = len(objects) - count
    if 0 <= num_extras < len(synthesis.extras):
        shared = (1 - synthesis.unrelated) * synthesis.extras[num_extras] * math.factorial(num_extras)
        for chosen in itertools.permutations(range(len(objects)), count):
            likelihood = (
                shared * _linked_words(post, chosen) * _extras([objects[i] for i in _others(objects, chosen)], post)
            )
            types = [objects[index].type for index in chosen]
            likelihood *= math.prod(text[row, kind] for row, kind in enumerate(types))
            total += likelihood
            mass[range(count), types] += likelihood
    return np.asarray(mass / total)


def _others(objects: Sequence[DrawnObject], chosen: Sequence[int]) -> list[int]:
    return [index for index in range(len(objects)) if index not in chosen]


def _linked_words(post: SyntheticPost, chosen: Sequence[int]) -> float:
    """Probability of the linking words and letters if mention ``i`` is shown by object ``chosen[i]``."""
    shares = dict(zip(CUES, post.synthesis.cues(len(post.mentions)), strict=True))
    likelihood = 1.0
    for mention, index in zip(post.mentions, chosen, strict=True):
        drawn = post.objects[index]
        if mention.says is not None:
            named = drawn.colour if mention.cue == "colour" else drawn.cell
            likelihood *= shares[mention.cue] * (named == mention.says and drawn.letters is None)
        elif drawn.letters is not None:
            likelihood *= shares["letters"] * (letters(mention.core) == drawn.letters)
        else:
            likelihood *= shares["none"]
    return likelihood


def _extras(objects: Sequence[DrawnObject], post: SyntheticPost) -> float:
    """Probability of the objects that nobody mentions; they never have letters."""
    prior = post.synthesis.domain.prior()
    return math.prod(prior[each.type] * (each.letters is None) for each in objects)


def _unlinked_words(post: SyntheticPost) -> float:
    """Probability of the linking words if the picture belongs to another post: they name objects that are not seen.

    The colours that a text names are all different, and so are the places.
    """
    shares = dict(zip(CUES, post.synthesis.cues(len(post.mentions)), strict=True))
    kinds = [each.cue if each.says is not None else None for each in post.mentions]
    words = math.prod(shares[kind] if kind else shares["letters"] + shares["none"] for kind in kinds)
    ways = math.perm(len(COLOURS), kinds.count("colour")) * math.perm(len(post.synthesis.places), kinds.count("place"))
    return words / ways


def _other_picture(objects: Sequence[DrawnObject], synthesis: Synthesis) -> float:
    """Probability of what is seen if the picture belongs to another post, whose number of mentions is not known."""
    num_lettered = sum(each.letters is not None for each in objects)
    shares, chance = letter_shares(synthesis.split), 0.0
    for count in range(num_lettered, len(objects) + 1):
        num_extras = len(objects) - count
        if 1 <= count < len(synthesis.mentions) and num_extras < len(synthesis.extras):
            share = synthesis.mentions[count] / sum(synthesis.mentions[1:]) * synthesis.extras[num_extras]
            lettered = synthesis.cues(count)[CUES.index("letters")]
            share *= lettered**num_lettered * (1 - lettered) ** (count - num_lettered)
            # In so many orders can these objects have been drawn, lettered ones never among the extra ones.
            chance += share * math.perm(count, num_lettered) * math.factorial(len(objects) - num_lettered)
    prior = synthesis.domain.prior()
    seen = math.prod(prior[each.type] * (shares[each.letters] if each.letters else 1.0) for each in objects)
    return chance * seen


@dataclass(frozen=True)
class Bound:
    """The best strict F1 on some posts, given perfect spans and perfect sight.

    Attributes:
        expected: Mean probability of the best type: the exact expectation, from 0 to 1.
        realised: Share of mentions whose best type was drawn.
        num_mentions: Number of mentions.
    """

    expected: float
    realised: float
    num_mentions: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 99 % interval of ``realised`` around ``expected``, by the normal approximation."""
        width = 2.576 * math.sqrt(self.expected * (1 - self.expected) / max(1, self.num_mentions))
        return self.expected - width, self.expected + width


def bound(posts: Iterable[SyntheticPost], *, with_picture: bool = True, only: str | None = None) -> Bound:
    """Return the best strict F1 on some posts; conditional on perfect spans and a perfectly seen picture.

    Args:
        posts: The posts.
        with_picture: True where the picture is taken into account.
        only: The slice that is counted, as ``slice_of`` names it.
    """
    best: list[float] = []
    right: list[bool] = []
    for post in posts:
        for mention, row in zip(post.mentions, posterior(post, with_picture=with_picture), strict=True):
            if only is None or slice_of(post, mention) == only:
                best.append(float(row.max()))
                right.append(int(row.argmax()) == mention.type)
    count = len(best)
    return Bound(sum(best) / max(1, count), sum(right) / max(1, count), count)
