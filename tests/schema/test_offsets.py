from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import published

from instruct_mner.errors import ConfigError
from instruct_mner.models.tuned import with_segmentation, zero_shot
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.offsets import can_say, chunks, is_edge, is_word_character, place
from instruct_mner.schema.scripts import is_particles, writes_no_spaces

WORDS = st.text(alphabet="ab#'é日 ", max_size=24)


@given(st.text(max_size=60))
def test_chunks_join_to_the_text_and_cut_no_word(text: str) -> None:
    parts = chunks(text)
    assert "".join(parts) == text
    assert all(parts)
    for before, after in pairwise(parts):
        if is_word_character(before[-1]) and is_word_character(after[0]):
            spaceless = writes_no_spaces(before[-1]) or writes_no_spaces(after[0])
            syllables = re.match(r"[가-힣]*", text[text.index(before + after) + len(before) :])
            assert syllables is not None
            assert spaceless or is_particles(syllables[0])
    for part in parts:
        assert len(part) == 1 or all(is_word_character(character) for character in part)


@given(st.one_of(st.text(max_size=60), st.text(alphabet=[chr(code) for code in range(128)], max_size=60)))
def test_chunks_are_cut_at_all_edges(text: str) -> None:
    cuts = [0, *(index for index in range(1, len(text)) if is_edge(text, index)), len(text)]
    assert chunks(text) == [text[start:end] for start, end in pairwise(cuts) if start < end]


@pytest.mark.parametrize(
    ("text", "surfaces", "starts"),
    [
        ("Game of Thrones and Game", ["Game", "Game of Thrones"], [20, 0]),
        ("USA beats US", ["US"], [10]),
        ("@Chicago_Bulls in Chicago", ["Chicago"], [18]),
        ("#Chicago's finest", ["Chicago"], [1]),
        ("#Bob met Bob", ["Bob", "Bob"], [1, 9]),  # equal surfaces in text order, whatever their quality
        ("Ann Ann Ann", ["Ann", "Ann"], [0, 4]),
        ("xAnn", ["Ann"], [1]),  # inside a word, where nothing better is left
        ("a\u00a0b", ["b"], [2]),
    ],
)
def test_where_surfaces_land(text: str, surfaces: list[str], starts: list[int]) -> None:
    assert list(place(text, surfaces).starts) == starts


def test_what_cannot_be_placed_is_told_apart() -> None:
    placement = place("Ann met Bob", ["Ann", "Ann", "Eve"])
    assert placement.starts == (0, None, None)
    assert placement.unplaceable == (1,)
    assert placement.hallucinated == (2,)


def test_unsegmented_text_is_read_from_the_left() -> None:
    assert place("我在北京大学的北京", ["北京"], "characters").starts == (2,)
    assert place("我在北京大学的北京", ["北京", "北京大学"], "characters").starts == (7, 2)


@given(WORDS, st.lists(st.text(alphabet="ab#'é日 ", min_size=1, max_size=5), max_size=6))
def test_placed_spans_are_the_surfaces_and_do_not_overlap(text: str, surfaces: list[str]) -> None:
    placement = place(text, surfaces)
    taken: set[int] = set()
    for surface, start in zip(surfaces, placement.starts, strict=True):
        if start is None:
            continue
        assert text[start : start + len(surface)] == surface
        span = set(range(start, start + len(surface)))
        assert not span & taken
        taken |= span
    missing = {index for index, start in enumerate(placement.starts) if start is None}
    assert missing == {*placement.hallucinated, *placement.unplaceable}
    assert all(surfaces[index] not in text for index in placement.hallucinated)
    assert all(surfaces[index] in text for index in placement.unplaceable)


@pytest.mark.parametrize(("name", "most"), [("twitter2015", 0), ("twitter2017", 0), ("gmner", 3)])
def test_perfect_surfaces_in_any_order_on_real_posts(shared_data, name: str, most: int) -> None:
    examples = published(shared_data / name)["test"].examples
    for seed in range(2):
        shuffled = random.Random(seed)
        wrong = 0
        for example in examples:
            emitted = [(entity.text, entity.label) for entity in example.gold]
            shuffled.shuffle(emitted)
            starts = place(example.text, [surface for surface, _ in emitted]).starts
            placed = {(start, label) for start, (_, label) in zip(starts, emitted, strict=True) if start is not None}
            wrong += sum((entity.start, entity.label) not in placed for entity in example.gold)
        assert wrong <= most


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("中国国家主席访问美国", "美国"),
        ("在NBA的詹姆斯", "NBA"),
        ("2018年北京", "北京"),
        ("昨日東京タワーに行った", "東京タワー"),
        ("ヤマダさんはパリへ", "パリ"),
        ("สมชายไปเชียงใหม่เมื่อวาน", "เชียงใหม่"),
        ("ທ້າວສົມໄປວຽງຈັນ", "ວຽງຈັນ"),
        ("សុខាទៅភ្នំពេញ", "ភ្នំពេញ"),
        ("မောင်မောင်ရန်ကုန်သွားသည်", "ရန်ကုန်"),
        ("김민수는 서울에서는 행복하다", "김민수"),
        ("김민수는 서울에서는 행복하다", "서울"),
        ("BTS가 제주도에 왔다", "BTS"),
        ("BTS가 제주도에 왔다", "제주도"),
    ],
)
def test_mentions_of_scripts_without_spaces_can_be_said(text: str, mention: str) -> None:
    start = text.index(mention)
    assert can_say(text, start, start + len(mention))


@pytest.mark.parametrize(
    ("text", "mention"), [("Anna flew", "Ann"), ("한국어능력시험", "한국"), ("caf\u00e9s", "caf"), ("e\u0301a", "e")]
)
def test_a_mention_that_cuts_a_word_cannot_be_said(text: str, mention: str) -> None:
    start = text.index(mention)
    assert not can_say(text, start, start + len(mention))


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_nearly_all_gold_of_chinese_posts_can_be_said(shared_data, split: str) -> None:
    examples = published(shared_data / "cmner")[split].examples
    said = [can_say(post.text, entity.start, entity.end) for post in examples for entity in post.gold]
    assert sum(said) / len(said) >= 0.995


@pytest.mark.parametrize("names", ["PER,LOC", "PER", b"PER", ""])
def test_one_string_is_no_list_of_labels(names: str | bytes) -> None:
    with pytest.raises(ConfigError, match="labels are a list of names, not the string"):
        LabelSet.of(names)  # type: ignore[arg-type]


def test_the_segmentation_of_a_model_can_be_chosen() -> None:
    manifest, _ = zero_shot("some/model")
    assert with_segmentation(manifest, None) is manifest
    chosen = with_segmentation(manifest, "characters")
    assert chosen.answer.can_say("Anna", 0, 2)
    assert not manifest.answer.can_say("Anna", 0, 2)
