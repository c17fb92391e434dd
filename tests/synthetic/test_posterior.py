"""The exact posterior against counting, and the bound against what was drawn."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

from instruct_mner.synthetic import posterior, posts, text, vocabulary
from instruct_mner.synthetic.label_sets import COARSE, DOMAINS, Domain
from instruct_mner.synthetic.posts import SyntheticPost
from instruct_mner.synthetic.settings import Synthesis

# Two types, so that whole posts repeat and can be counted.
_SMALL = Domain("small", (replace(COARSE.types[0], share=0.6), replace(COARSE.types[1], share=0.4)))
_SYLLABLES = ("ba", "bo", "du")


def _observed(post: SyntheticPost) -> tuple[object, ...]:
    """All that the posterior may depend on."""
    said = tuple(
        (mention.affix in COARSE.types[0].suffixes + COARSE.types[0].prefixes if mention.affix else None,
         mention.phrase in COARSE.types[0].before + COARSE.types[0].after if mention.phrase else None,
         mention.cue if mention.says is not None else None, mention.says, mention.core[:2])
        for mention in post.mentions
    )  # fmt: skip
    return said, frozenset((each.type, each.colour, each.cell, each.letters) for each in post.objects)


@pytest.mark.parametrize("level", [0, pytest.param(1, marks=pytest.mark.prove)])
def test_the_posterior_is_what_counting_finds(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws posts of a world so small that the same ones come again, and counts their types."""
    monkeypatch.setattr(vocabulary, "syllables", lambda split: _SYLLABLES)
    monkeypatch.setattr(posts, "syllables", lambda split: _SYLLABLES)
    monkeypatch.setattr(text, "word", lambda rng, split: rng.choice(_SYLLABLES))
    monkeypatch.setattr(posterior, "letter_shares", lambda split: {"BA": 1 / 3, "BO": 1 / 3, "DU": 1 / 3})
    colours = ("red", "blue", "green")
    monkeypatch.setattr(posts, "COLOURS", colours)
    monkeypatch.setattr(text, "COLOURS", colours)
    monkeypatch.setattr(posterior, "COLOURS", colours)
    monkeypatch.setattr(Synthesis, "places", property(lambda self: ("left", "right", "top")))
    monkeypatch.setattr(Synthesis, "extras", property(lambda self: (0.6, 0.4) if self.level else (1.0,)))
    synthesis = Synthesis(
        domain=_SMALL, level=level, unrelated=0.4, affixes=0.2, contexts=0.3, misleading=0.2,
        cues_of_one=(0.3, 0.1, 0.4, 0.2), cues_of_several=(0.5, 0.1, 0.3, 0.1), mentions=(0.1, 0.6, 0.3),
    )  # fmt: skip
    drawn = list(itertools.islice(posts.posts(synthesis, 1), 60_000))
    groups: dict[tuple[object, ...], list[SyntheticPost]] = defaultdict(list)
    for post in drawn:
        if post.mentions:
            groups[_observed(post)].append(post)
    large = [group for group in groups.values() if len(group) >= 60]
    assert len(large) > 40
    squares, count = 0.0, 0
    for group in large:
        exact = posterior.posterior(group[0])
        for row in range(len(group[0].mentions)):
            first = Counter(post.mentions[row].type for post in group)[0]
            share = exact[row, 0]
            if 0.02 < share < 0.98:
                squares += (first - len(group) * share) ** 2 / (len(group) * share * (1 - share))
                count += 1
    # The sum of squared deviations is chi-square with as many degrees of freedom; its 99 % interval.
    assert count > 30
    assert abs(squares - count) < 2.576 * math.sqrt(2 * count)


@pytest.mark.parametrize("domain", sorted(DOMAINS))
@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("with_picture", [True, False])
def test_the_bound_is_what_the_best_choice_reaches(domain: str, level: int, with_picture: bool) -> None:
    drawn = itertools.islice(posts.posts(Synthesis(domain=DOMAINS[domain], level=level, split="test"), 5), 1500)
    found = posterior.bound(drawn, with_picture=with_picture)
    low, high = found.interval
    assert low <= found.realised <= high
    assert found.num_mentions > 2000


def test_posteriors_are_distributions() -> None:
    for post in itertools.islice(posts.posts(Synthesis(level=1), 2), 200):
        for with_picture in (True, False):
            rows = posterior.posterior(post, with_picture=with_picture)
            assert rows.shape == (len(post.mentions), 4)
            np.testing.assert_allclose(rows.sum(axis=1), 1.0)


def test_a_picture_that_cannot_belong_says_nothing() -> None:
    """Level 0 has one object for each mention: any other number is that of another post."""
    two = next(post for post in posts.posts(Synthesis(), 3) if len(post.mentions) == 2 and len(post.objects) != 2)
    np.testing.assert_allclose(posterior.posterior(two), posterior.posterior(two, with_picture=False))


def test_an_affix_is_proof() -> None:
    for post in itertools.islice(posts.posts(Synthesis(), 4), 300):
        for mention, row in zip(post.mentions, posterior.posterior(post), strict=True):
            if mention.affix is not None:
                assert row[mention.type] == pytest.approx(1.0)
