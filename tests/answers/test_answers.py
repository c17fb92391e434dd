from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.answers.syntax import up_to
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Box, Entity

LABELS = LabelSet.of(["PER", "LOC", "sports team", 'a "b" é'])
TEXTS = st.text(alphabet="abAB1#:,.[]'\"\\{}é日😀 ", min_size=1, max_size=30)
BYTES = LLTokenizer("byte")
FORMATS = pytest.mark.parametrize("form", ["lines", "json"])


def spec(**changes: object) -> AnswerSpec:
    return AnswerSpec(labels=LABELS, **changes)


def admits(grammar: str, answer: str) -> bool:
    matcher = LLMatcher(BYTES, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    tokens = list(answer.encode())
    return matcher.validate_tokens(tokens) == len(tokens) and matcher.consume_tokens(tokens) and matcher.is_accepting()


@st.composite
def annotated(draw: st.DrawFn, *, on_words: bool = False) -> tuple[str, list[Entity]]:
    """A text and flat gold whose surfaces are all labelled wherever they occur."""
    text = draw(TEXTS)
    entities: list[Entity] = []
    position = 0
    while position < len(text) and len(entities) < 6 and draw(st.booleans()):
        start = draw(st.integers(position, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        entities.append(Entity(start=start, end=end, text=text[start:end], label=draw(st.sampled_from(LABELS.names))))
        position = end
    return text, [entity for entity in entities if _namable(text, entity, on_words=on_words)]


def _namable(text: str, entity: Entity, *, on_words: bool) -> bool:
    if on_words:
        return spec().can_say(text, entity.start, entity.end)
    return bool(entity.text) and entity.text == entity.text.strip()


def wholly_labelled(text: str, entities: list[Entity]) -> bool:
    """Whether every occurrence of every surface is an entity, or lies in one that chooses before it."""
    for entity in entities:
        for match in re.finditer(f"(?={re.escape(entity.text)})", text):
            start, end = match.start(), match.start() + len(entity.text)
            covering = [e for e in entities if e.start < end and start < e.end]
            itself = any((e.start, e.end) == (start, end) for e in covering)
            if not itself and not any(len(e.text) > len(entity.text) for e in covering):
                return False
    return True


@FORMATS
@given(annotated())
def test_parse_inverts_render(form: str, case: tuple[str, list[Entity]]) -> None:
    text, entities = case
    rules = spec(format=form)
    answer = codec.parse(rules, text, codec.render(rules, text, entities))
    assert answer.rejected.total == 0
    assert len(answer.entities) == len(entities)
    if wholly_labelled(text, entities):
        assert [(e.start, e.end, e.label) for e in answer.entities] == [(e.start, e.end, e.label) for e in entities]


@FORMATS
@given(annotated(), st.integers(1, 3), st.data())
def test_parse_inverts_render_with_boxes(
    form: str, case: tuple[str, list[Entity]], num_images: int, data: st.DataObject
) -> None:
    text, entities = case
    corner = st.integers(0, 999)
    grounded = []
    for entity in entities:
        boxes = []
        for _ in range(data.draw(st.integers(0, 2))):
            x0, y0 = data.draw(corner), data.draw(corner)
            x1, y1 = data.draw(st.integers(x0 + 1, 1000)), data.draw(st.integers(y0 + 1, 1000))
            boxes.append(Box(image=data.draw(st.integers(0, num_images - 1)), box=(x0, y0, x1, y1)))
        grounded.append(entity.model_copy(update={"boxes": tuple(boxes)}))
    rules = spec(grounded=True, format=form)
    answer = codec.parse(rules, text, codec.render(rules, text, grounded, num_images), num_images)
    assert answer.rejected.total == 0
    if wholly_labelled(text, entities):
        for found, gold in zip(answer.entities, grounded, strict=True):
            assert found.box == max(gold.boxes or (), key=lambda box: box.area, default=None)


@FORMATS
@pytest.mark.parametrize("segmentation", ["words", "characters"])
@given(annotated(on_words=True), st.sampled_from(["", " "]))
def test_the_grammar_admits_gold(form: str, segmentation: str, case: tuple[str, list[Entity]], prefix: str) -> None:
    text, entities = case
    rules = spec(prefix=prefix, format=form, segmentation=segmentation)
    assert admits(codec.grammar(rules, text), prefix + codec.render(rules, text, entities))


@pytest.mark.parametrize(
    "answer",
    ["", "PER", "PER: ", "PER: hicago", "PER: Chicag", "PER:  Chicago", "PER: Chicago ", "ORG: Chicago", "PER: ,",
     "PER: Chicago\n", "none\nPER: Chicago", "PER: Chicago [1, 2, 3, 4]", "per: Chicago", "PER: Paris"],
)  # fmt: skip
def test_the_grammar_refuses(answer: str) -> None:
    assert not admits(codec.grammar(spec(), "#Chicago , 's"), answer)


@pytest.mark.parametrize(
    ("num_images", "box", "legal"),
    [
        (1, "[]", True), (1, "[0, 0, 1000, 1000]", True), (1, "[0, 0, 1000, 1001]", False),
        (1, "[00, 0, 1, 1]", False), (1, "[1, 0, 0, 1, 1]", False), (1, "[9, 9, 1, 1]", True),
        (0, "[]", True), (0, "[0, 0, 1, 1]", False), (2, "[2, 0, 0, 1, 1]", True), (2, "[3, 0, 0, 1, 1]", False),
        (2, "[0, 0, 1, 1]", False),
    ],
)  # fmt: skip
def test_boxes_that_are_legal(num_images: int, box: str, legal: bool) -> None:
    rules = spec(grounded=True)
    answer = f"PER: Ann {box}"
    assert admits(codec.grammar(rules, "Ann", num_images), answer) is legal
    if legal:
        assert codec.parse(rules, "Ann", answer, num_images).rejected.total == 0


def test_boxes_are_put_right() -> None:
    rules = spec(grounded=True)
    [entity] = codec.parse(rules, "Ann", "PER: Ann [900, 7, 100, 7]").entities
    assert entity.box == Box(box=(100, 7, 900, 8))
    [entity] = codec.parse(rules, "Ann", "PER: Ann [1000, 0, 1000, 5]").entities
    assert entity.box == Box(box=(999, 0, 1000, 5))


def test_the_number_of_entities_is_capped() -> None:
    rules = spec(max_entities=2)
    assert admits(codec.grammar(rules, "a b c"), "PER: a\nPER: b")
    assert not admits(codec.grammar(rules, "a b c"), "PER: a\nPER: b\nPER: c")
    assert rules.capacity("a b c") == 2
    assert spec().capacity("one , two") == 2
    assert not admits(codec.grammar(spec(), "one , two"), "PER: one\nPER: two\nPER: one")


@pytest.mark.parametrize("text", ["", "   ", "!? …", "😀"])
def test_nothing_to_name(text: str) -> None:
    grammar = codec.grammar(spec(), text)
    assert admits(grammar, "none")
    assert not admits(grammar, f"PER: {text}")


@pytest.mark.parametrize(
    ("completion", "found", "rejected"),
    [
        ("none", [], (0, 0, 0)),
        (" none ", [], (0, 0, 0)),
        ("", [], (1, 0, 0)),
        ("PER: Ann", [(0, 3, "PER")], (0, 0, 0)),
        ("PER: Ann\n\nLOC: Paris\n", [(0, 3, "PER"), (7, 12, "LOC")], (0, 0, 0)),
        ("LOC: Paris\nPER: Ann", [(0, 3, "PER"), (7, 12, "LOC")], (0, 0, 0)),
        ("PER Ann", [], (1, 0, 0)),
        ("DOG: Ann", [], (1, 0, 0)),
        ("PER: Eve", [], (0, 1, 0)),
        ("PER: Ann\nLOC: Ann", [(0, 3, "PER")], (0, 0, 1)),
        ("none\nPER: Ann", [(0, 3, "PER")], (1, 0, 0)),
        ("Sure! Here you go:\nPER: Ann", [(0, 3, "PER")], (1, 0, 0)),
        ("PER: Ann [1, 2, 3, 4]", [], (0, 1, 0)),
    ],
)
def test_what_is_read(completion: str, found: list[tuple[int, int, str]], rejected: tuple[int, int, int]) -> None:
    answer = codec.parse(spec(), "Ann in Paris", completion)
    assert [(e.start, e.end, e.label) for e in answer.entities] == found
    assert (answer.rejected.malformed, answer.rejected.hallucinated, answer.rejected.unplaceable) == rejected


def test_a_completion_that_was_cut_loses_its_last_line_and_is_counted() -> None:
    answer = codec.parse(spec(), "Ann in Paris", "PER: Ann\nLOC: Par", finished=False)
    assert [e.label for e in answer.entities] == ["PER"]
    assert answer.rejected.malformed == 1


def test_written_is_where_label_and_mention_stand() -> None:
    completion = " PER: Ann\nLOC: Paris"
    assert written(spec(), "Ann in Paris", completion) == [["PER: Ann"], ["LOC: Paris"]]


def written(rules: AnswerSpec, text: str, completion: str) -> list[list[str]]:
    entities = codec.parse(rules, text, completion).entities
    return [[completion[start:end] for start, end in entity.written] for entity in entities]


PIECES = [
    "PER: ", "\n", "none", " [", "]", ", ", "1", "LOC: a", "[]", "[", "{", "}", ",", ":",
    '"', "\\", '"text":', '"label":',
    '"box":', '"a"', '"PER"', '{"text":"a","label":"PER"', '[{"text":"1","label":"LOC","box":[1,2,3,4]}', "\ud800",
    "[" * 3000, '{"text":' * 500, "1" * 5000, "```json\n", "null", "-1",
]  # fmt: skip


@FORMATS
@given(
    TEXTS,
    st.lists(st.one_of(st.sampled_from(PIECES), st.text()), max_size=12),
    st.booleans(),
    st.integers(0, 3),
    st.booleans(),
)
def test_parse_never_raises(
    form: str, text: str, pieces: list[str], grounded: bool, num_images: int, finished: bool
) -> None:
    answer = codec.parse(spec(grounded=grounded, format=form), text, "".join(pieces), num_images, finished=finished)
    end = 0
    for entity in answer.entities:
        assert end <= entity.start < entity.end <= len(text)
        end = entity.end
        assert entity.box is None or entity.box.image < num_images or num_images <= 1


@FORMATS
@pytest.mark.parametrize("segmentation", ["words", "characters"])
@given(TEXTS, st.booleans(), st.integers(0, 2), st.randoms(use_true_random=False))
def test_whatever_the_grammar_lets_through_parses_clean(
    form: str, segmentation: str, text: str, grounded: bool, num_images: int, chance: random.Random
) -> None:
    rules = spec(format=form, segmentation=segmentation, grounded=grounded, max_entities=3)
    completion = walk(codec.grammar(rules, text, num_images), chance)
    answer = codec.parse(rules, text, completion, num_images)
    assert (answer.rejected.malformed, answer.rejected.hallucinated) == (0, 0), completion
    if form == "json":
        assert completion == json.dumps(json.loads(completion), separators=(",", ":"), ensure_ascii=False)


def walk(grammar: str, chance: random.Random) -> str:
    """A completion, each byte drawn evenly from those that are allowed; the end as soon as it is."""
    matcher = LLMatcher(BYTES, grammar, log_level=0)
    tokens: list[int] = []
    while not matcher.is_stopped():
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
        token = int(chance.choice(allowed))
        if BYTES.eos_token in allowed:
            break
        tokens.append(token)
        assert matcher.consume_token(token), matcher.get_error()
    return bytes(tokens).decode()


@given(st.integers(0, 30_000))
def test_numbers_up_to(maximum: int) -> None:
    pattern = re.compile(up_to(maximum))
    probe = random.Random(maximum)
    numbers = {0, 1, maximum, maximum + 1, maximum * 10, *(probe.randrange(40_000) for _ in range(50))}
    assert all(bool(pattern.fullmatch(str(number))) == (number <= maximum) for number in numbers)
    assert not pattern.fullmatch("00")


@pytest.mark.parametrize("answer_format", ["lines", "json"])
def test_a_word_of_thousands_of_letters_is_no_trouble_for_the_grammar(answer_format: str) -> None:
    """In one piece it is: llguidance's lexer gives up on it."""
    text = "a" * 3000 + " Bob"
    rules = spec(format=answer_format, grounded=True)
    for surface, start in (("Bob", 3001), ("a" * 3000, 0)):
        gold = Entity(start=start, end=start + len(surface), text=surface, label="PER", boxes=())
        assert admits(codec.grammar(rules, text), codec.render(rules, text, [gold]))
