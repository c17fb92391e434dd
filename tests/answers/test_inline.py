"""Answers with the post written out: what is particular to them, and what every format promises."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher
from test_answers import BYTES, TEXTS, admits, annotated, spec, walk, written

from instruct_mner.answers import codec
from instruct_mner.answers.inline import Inline
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.schema.records import Box, Entity

AWKWARD = st.one_of(
    TEXTS,
    st.text(alphabet="aB |[]PER,1\n", min_size=1, max_size=25),
    st.lists(st.sampled_from([" | PER]", "[", "[a", "a", " | ", " |", "]", " ", "none", "B1", "\u00a0", "日本"])).map(
        "".join
    ),
)


def inline(**changes: object) -> AnswerSpec:
    return spec(format="inline", **changes)


@st.composite
def sayable(draw: st.DrawFn, rules: AnswerSpec) -> tuple[str, list[Entity]]:
    text = draw(AWKWARD)
    entities, position = [], 0
    for _ in range(draw(st.integers(0, 4))):
        if position >= len(text):
            break
        start = draw(st.integers(position, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        if rules.can_say(text, start, end):
            label = draw(st.sampled_from(rules.labels.names))
            entities.append(Entity(start=start, end=end, text=text[start:end], label=label))
            position = end
    return text, entities


@pytest.mark.parametrize("segmentation", ["words", "characters"])
@given(data=st.data(), prefix=st.sampled_from(["", " "]))
def test_gold_is_admitted_and_read_where_it_stands(segmentation: str, data: st.DataObject, prefix: str) -> None:
    rules = inline(segmentation=segmentation, prefix=prefix)
    text, entities = data.draw(sayable(rules))
    answer = prefix + codec.render(rules, text, entities)
    assert admits(codec.grammar(rules, text), answer)
    parsed = codec.parse(rules, text, answer)
    assert parsed.rejected.total == 0
    assert [(e.start, e.end, e.label) for e in parsed.entities] == [(e.start, e.end, e.label) for e in entities]


@given(data=st.data(), num_images=st.integers(0, 3))
def test_boxes_are_read_too(data: st.DataObject, num_images: int) -> None:
    rules = inline(grounded=True)
    text, entities = data.draw(sayable(rules))
    grounded = []
    for entity in entities:
        x0, y0 = data.draw(st.integers(0, 999)), data.draw(st.integers(0, 999))
        box = Box(image=data.draw(st.integers(0, max(0, num_images - 1))), box=(x0, y0, 1000, 1000))
        seen = num_images > 0 and data.draw(st.booleans())
        grounded.append(entity.model_copy(update={"boxes": (box,) if seen else ()}))
    answer = codec.render(rules, text, grounded, num_images)
    assert admits(codec.grammar(rules, text, num_images), answer)
    parsed = codec.parse(rules, text, answer, num_images)
    assert parsed.rejected.total == 0
    for found, gold in zip(parsed.entities, grounded, strict=True):
        assert (found.start, found.end, found.box) == (gold.start, gold.end, next(iter(gold.boxes or ()), None))


@pytest.mark.parametrize("segmentation", ["words", "characters"])
@given(AWKWARD, st.booleans(), st.integers(0, 2), st.randoms(use_true_random=False))
def test_whatever_the_grammar_lets_through_parses_clean(
    segmentation: str, text: str, grounded: bool, num_images: int, chance: random.Random
) -> None:
    rules = inline(segmentation=segmentation, grounded=grounded)
    completion = walk(codec.grammar(rules, text, num_images), chance)
    answer = codec.parse(rules, text, completion, num_images)
    assert answer.rejected.total == 0, completion
    for entity in answer.entities:
        assert rules.can_say(text, entity.start, entity.end)
    if not grounded and any(character.isalnum() for character in text):
        gold = [Entity(start=e.start, end=e.end, text=text[e.start : e.end], label=e.label) for e in answer.entities]
        assert codec.render(rules, text, gold) == completion


@given(AWKWARD, st.lists(st.one_of(st.sampled_from(["[", " | PER]", "a", " ", "none", "|"]), st.text()), max_size=10),
       st.booleans(), st.booleans(), st.integers(0, 3))  # fmt: skip
def test_parse_never_raises(text: str, pieces: list[str], finished: bool, grounded: bool, num_images: int) -> None:
    answer = codec.parse(inline(grounded=grounded), text, "".join(pieces), num_images, finished=finished)
    end = 0
    for entity in answer.entities:
        assert end <= entity.start < entity.end <= len(text)
        end = entity.end


@given(annotated(), st.randoms(use_true_random=False))
def test_damaged_answers_are_read_without_overlap(case: tuple[str, list[Entity]], chance: random.Random) -> None:
    text, entities = case
    answer = codec.render(inline(), text, entities)
    cut = chance.randrange(len(answer) + 1)
    parsed = codec.parse(inline(), text, answer[:cut] + chance.choice(["", "x", "[", " | PER]"]) + answer[cut + 1 :])
    spans = [(entity.start, entity.end) for entity in parsed.entities]
    assert spans == sorted(spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


@pytest.mark.parametrize(
    "answer",
    [
        "", "none", "Ann in", "[Ann | PER] in Paris .", "[Ann | DOG] in Paris", "[Ann| PER] in Paris",
        "[Ann | PER in Paris", "[Ann ] in Paris", "A[nn | PER] in Paris", "[Ann  | PER] in Paris",
        "Ann[ in | PER] Paris", "[Ann | PER]  in Paris", "[[Ann | PER] | LOC] in Paris", "Ann in Paris | LOC]",
        "[Eve | PER] in Paris", "[Ann | PER | 1, 2, 3, 4] in Paris",
    ],
)  # fmt: skip
def test_the_grammar_refuses(answer: str) -> None:
    assert not admits(codec.grammar(inline(), "Ann in Paris"), answer)


@pytest.mark.parametrize(
    ("completion", "spans", "rejected"),
    [
        ("[Ann | PER] met [Ann | PER]", [(0, 3), (8, 11)], (0, 0)),
        ("Ann met [Ann | PER]", [(8, 11)], (0, 0)),
        ("Ann met Ann", [], (0, 0)),
        ("[Ann | PER] met", [(0, 3)], (1, 0)),
        ("Here: [Ann | PER] met [Ann | PER]", [(0, 3), (8, 11)], (1, 0)),
        ("[Ann | PER] saw [Eve | PER] and [Ann | PER]", [(0, 3), (8, 11)], (1, 1)),
        ("[Ann | PER] met [Ann", [(0, 3)], (1, 0)),
        ("none", [], (1, 0)),
    ],
)
def test_what_is_read(completion: str, spans: list[tuple[int, int]], rejected: tuple[int, int]) -> None:
    answer = codec.parse(inline(), "Ann met Ann", completion)
    assert [(entity.start, entity.end) for entity in answer.entities] == spans
    assert (answer.rejected.malformed, answer.rejected.hallucinated) == rejected


def test_written_is_the_bracket_with_the_mention_and_the_bar_with_the_label() -> None:
    assert written(inline(), "Ann in Paris", " [Ann | PER] in Paris") == [["[Ann", " | PER"]]


def test_a_cut_answer_keeps_what_was_closed() -> None:
    answer = codec.parse(inline(), "Ann in Paris", "[Ann | PER] in [Par", finished=False)
    assert [entity.label for entity in answer.entities] == ["PER"]
    assert answer.rejected.malformed == 1


@pytest.mark.parametrize("words", [600, 4000])
def test_long_posts(words: int) -> None:
    text = " ".join(f"w{number}" for number in range(words)) + " Bob"
    gold = [Entity(start=len(text) - 3, end=len(text), text="Bob", label="PER")]
    matcher = LLMatcher(BYTES, codec.grammar(inline(), text), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    answer = list(codec.render(inline(), text, gold).encode())
    assert matcher.validate_tokens(answer) == len(answer)


TEXT = "RT Kobe in LA"
BOXES = (Box(box=(0, 0, 1, 1)), Box(image=1, box=(12, 40.4, 88, 96.6)))
KOBE = Entity(start=3, end=7, text="Kobe", label="PER", boxes=BOXES)
LA = Entity(start=11, end=13, text="LA", label="LOC", boxes=())


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (Inline(inline(), 1), "RT [Kobe | PER] in [LA | LOC]"),
        (Inline(inline(grounded=True), 1), "RT [Kobe | PER | 12, 40, 88, 97] in [LA | LOC | none]"),
        (Inline(inline(grounded=True), 2), "RT [Kobe | PER | 2, 12, 40, 88, 97] in [LA | LOC | none]"),
    ],
)
def test_what_is_written(form: Inline, written: str) -> None:
    assert form.render(TEXT, [KOBE, LA]) == written
    assert form.render(f"  {TEXT}\n", []) == TEXT
    assert form.render("!?", []) == "none"


def test_mentions_are_read_without_their_text_too() -> None:
    completion = "[a [Kobe | PER | 2, 9, 0, 3, 4] and [LA | LOC | none] [x | DOG | none] [ | PER | none] [LA | LOC]"
    mentions, malformed = Inline(inline(grounded=True), 2).read(completion, finished=True)
    assert malformed == 0
    assert [(each.label, each.surface, each.box) for each in mentions] == [
        ("PER", "a [Kobe", Box(image=1, box=(3, 0, 9, 4))),
        ("LOC", "LA", None),
    ]
    assert [completion[start:end] for start, end in mentions[1].written] == ["[LA", " | LOC"]
    assert Inline(inline(grounded=True), 2).read("[Kobe | PER | 3, 9, 0, 3, 4]", finished=False) == ([], 1)


def test_a_mention_that_is_not_closed_ends_the_copy_before_its_bracket() -> None:
    """Where the copy goes wrong inside of brackets, the mentions of the rest are looked for behind that place."""
    answer = Inline(inline(), 1).parse(TEXT, "RT [Kobe | DOG] in [LA | LOC]", finished=True)
    assert [(each.start, each.end, each.label) for each in answer.entities] == [(11, 13, "LOC")]
    assert (answer.rejected.malformed, answer.rejected.hallucinated) == (1, 0)
