"""Synthetic posts: offsets, disjoint splits, determinism, and what is held out."""

from __future__ import annotations

import itertools

import pytest

from eval.starter_training.architecture import HELD_OUT_DRAWINGS, KNOWN_DOMAINS, corpus
from instruct_mner.synthetic.label_sets import COARSE, DOMAINS, HELD_OUT, RENAMED
from instruct_mner.synthetic.objects import DRAWINGS
from instruct_mner.synthetic.posts import SyntheticPost, posts
from instruct_mner.synthetic.scene import SIZES, draw_scene
from instruct_mner.synthetic.settings import COLOURS, Synthesis
from instruct_mner.synthetic.vocabulary import GLUED, SPLITS, Split, letter_shares, syllables


def _some(count: int, seed: int = 0, **settings: object) -> list[SyntheticPost]:
    return list(itertools.islice(posts(Synthesis(**settings), seed), count))  # type: ignore[arg-type]


@pytest.mark.parametrize("domain", sorted(DOMAINS))
@pytest.mark.parametrize("level", [0, 1])
def test_every_post_is_sound(domain: str, level: int) -> None:
    synthesis = Synthesis(domain=DOMAINS[domain], level=level)
    for number, post in enumerate(itertools.islice(posts(synthesis, 1), 150)):
        scene = draw_scene(post)
        assert scene.image.size == (SIZES[level], SIZES[level])
        assert len(scene.boxes) == len(post.objects) >= 0
        for x0, y0, x1, y1 in scene.boxes:
            assert 0 <= x0 < x1 <= SIZES[level]
            assert 0 <= y0 < y1 <= SIZES[level]
        example = post.example(str(number), "a.png", scene.boxes)  # checks offsets, order and boxes
        assert len(example.gold) == len(post.mentions)
        for mention, entity in zip(post.mentions, example.gold, strict=True):
            assert entity.label == synthesis.domain.types[mention.type].name
            assert (entity.boxes == ()) == (not post.related)
            if mention.cue == "colour":
                assert post.text[: mention.cue_end].endswith(COLOURS[mention.says or 0])
            if mention.cue == "place":
                assert post.text[: mention.cue_end].endswith(synthesis.places[mention.says or 0])
            if mention.phrase:
                assert mention.phrase.lower() in post.text.lower()


def test_a_name_is_linked_to_its_object() -> None:
    for post in _some(300):
        for mention in post.mentions:
            if mention.object_index is not None:
                shown = post.objects[mention.object_index]
                assert shown.type == mention.type
                assert (shown.letters == mention.core[:2].upper()) == (mention.cue == "letters")
                assert mention.says in (None, shown.colour if mention.cue == "colour" else shown.cell)


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = (
        [(post.text, draw_scene(post).image.tobytes()) for post in _some(20, seed=7, level=1)] for _ in range(2)
    )
    assert first == second
    assert first != [(post.text, draw_scene(post).image.tobytes()) for post in _some(20, seed=8, level=1)]


def test_the_splits_share_no_syllable() -> None:
    inventories = {split: set(syllables(split)) for split in SPLITS}
    for one, other in itertools.combinations(SPLITS, 2):
        assert not inventories[one] & inventories[other]
    assert all(len(each) > 200 for each in inventories.values())


@pytest.mark.parametrize("split", SPLITS)
def test_shares_of_letters_are_those_of_random_names(split: Split) -> None:
    assert sum(letter_shares(split).values()) == pytest.approx(1)
    assert set(letter_shares(split)) == {each[:2].upper() for each in syllables(split)}


def test_no_random_name_gives_its_type_away() -> None:
    for post in _some(500):
        for mention in post.mentions:
            assert not mention.core.endswith(GLUED)


def test_what_is_held_out_is_nowhere_in_what_the_starter_sees() -> None:
    seen = " ".join(corpus())
    for kind in HELD_OUT.types:
        assert kind.name not in seen
        assert kind.definition not in seen.split()
        assert set(kind.drawings) <= HELD_OUT_DRAWINGS
    assert not HELD_OUT_DRAWINGS & {name for domain in KNOWN_DOMAINS for kind in domain.types for name in kind.drawings}
    assert "north" not in seen.split()
    assert {kind.definition for kind in RENAMED.types} == {kind.definition for kind in COARSE.types}
    assert not {kind.name for kind in RENAMED.types} & set(seen.split())


def test_every_drawing_is_of_a_domain() -> None:
    assert set(DRAWINGS) == {name for domain in DOMAINS.values() for kind in domain.types for name in kind.drawings}
