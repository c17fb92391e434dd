from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from name_finder import NameFinder, tagger_of

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import ConfigError
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.offsets import chunks
from instruct_mner.schema.records import Example, PredictedEntity, Prediction, Rejected
from instruct_mner.tagging.windows import WindowSize, cut, joined, most_characters, window_of

SENTENCES = st.text(alphabet="abc .!?\n。日\u00a0'\"", max_size=300)


def words_of(text: str) -> int:
    """A tokenizer that makes a token of each word, and of each character of longer ones."""
    return sum(1 if len(word) < 9 else len(word) for word in text.split())


@settings(max_examples=300, deadline=None)
@given(SENTENCES, st.integers(4, 40), st.integers(8, 60))
def test_windows_cover_the_text_in_order_and_hold_what_they_may(text: str, tokens: int, characters: int) -> None:
    spans = cut(text, WindowSize(num_tokens=tokens, num_characters=characters), words_of) if text else []
    if not text:
        return
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    for (start, end), (next_start, next_end) in pairwise(spans):
        assert start < next_start < end < next_end
    for start, end in spans:
        own = text[start:end]
        # One unit that cannot be cut may be longer, beside the piece that the window before it ended with.
        assert len(own) <= characters or max(map(len, own.split()), default=0) > characters // 4 - 1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["Ann met Bob.", "Why?", "It is U.S. Army land", "No", "Yes!"]), min_size=1, max_size=60)
)
def test_neighbouring_sentences_are_together_in_a_window(sentences: list[str]) -> None:
    text = " ".join(sentences)
    spans = cut(text, WindowSize(num_tokens=20, num_characters=10_000), words_of)
    start = text.find("U.S. Army")
    while start >= 0:
        assert any(first <= start and start + len("U.S. Army") <= last for first, last in spans)
        start = text.find("U.S. Army", start + 1)


def test_windows_end_with_sentences_and_overlap_by_one() -> None:
    text = " ".join(f"Sentence number {number} is here." for number in range(20))
    spans = cut(text, WindowSize(num_tokens=25, num_characters=10_000), words_of)
    assert len(spans) == 5
    for (start, end), (next_start, _) in pairwise(spans):
        assert text[start:].startswith("Sentence")
        assert text[:end].rstrip().endswith(".")
        assert text[next_start:end].count("Sentence") == 1


def test_what_fits_is_one_window() -> None:
    assert cut("Ann. Bob.", WindowSize(num_tokens=100, num_characters=100), words_of) == [(0, 9)]


def prediction(text: str, *entities: tuple[int, int, str, float], malformed: int = 0) -> Prediction:
    made = tuple(
        PredictedEntity(start=start, end=end, text=text[start:end], label=label, score=score)
        for start, end, label, score in entities
    )
    return Prediction(id="1", text=text, entities=made, rejected=Rejected(malformed=malformed))


def test_entities_of_the_overlaps_are_joined() -> None:
    text = "Ann Lee met Bob Ray in Rome."
    spans = [(0, 15), (4, 28)]
    first, second = text[:15], text[4:]
    parts = [
        prediction(first, (0, 7, "PER", 0.5), (12, 15, "PER", 0.9), malformed=1),
        prediction(second, (0, 3, "LOC", 0.99), (8, 15, "PER", 0.4), (19, 23, "LOC", 0.7), malformed=2),
    ]
    whole = joined(Example(id="1", text=text), spans, parts)
    assert [(each.text, each.start, each.label, each.score) for each in whole.entities] == [
        ("Ann Lee", 0, "PER", 0.5),
        ("Bob Ray", 12, "PER", 0.4),
        ("Rome", 23, "LOC", 0.7),
    ]
    assert (whole.rejected.malformed, whole.windows) == (3, 2)


def test_of_the_same_span_the_surer_one_is_kept() -> None:
    text = "Paris."
    parts = [prediction(text, (0, 5, "LOC", 0.4)), prediction(text, (0, 5, "PER", 0.6))]
    [entity] = joined(Example(id="1", text=text), [(0, 6), (0, 6)], parts).entities
    assert (entity.label, entity.score) == ("PER", 0.6)


def test_a_window_of_a_post_has_its_pictures_but_no_gold() -> None:
    gold = Prediction(id="1", text="Ann. Bob.").entities
    post = Example(id="1", text="Ann. Bob.", images=("a.jpg",), entities=gold, tokens=("Ann.", " ", "Bob."))
    window = window_of(post, (5, 9))
    assert (window.text, window.images, window.entities, window.tokens) == ("Bob.", ("a.jpg",), None, None)


def document(num_words: int, names: dict[int, str]) -> str:
    words = [f"word{number}" + "." * (number % 9 == 8) for number in range(num_words)]
    for place, name in names.items():
        words[place] = name
    return " ".join(words)


def test_an_entity_behind_word_3000_is_found_at_its_global_offset() -> None:
    engine = NameFinder()
    text = document(5000, {3: "Zoe", 3210: "Zebulon", 4998: "Zed"})
    [tagged] = tagger_of(engine).predict([Example(id="1", text=text)])
    assert [(each.text, each.start) for each in tagged.entities] == [
        (name, text.index(name)) for name in ("Zoe", "Zebulon", "Zed")
    ]
    assert tagged.windows == len(engine.requests) > 10
    assert all(engine.count_prompt(request) + request.max_tokens <= 400 for request in engine.requests)
    assert [each["start"] for each in tagger_of(engine).predict_entities(text)] == [
        each.start for each in tagged.entities
    ]


def test_posts_that_fit_are_asked_about_once_beside_one_that_does_not() -> None:
    engine = NameFinder()
    posts = [Example(id=str(number), text=text) for number, text in enumerate(["Zoe", document(2000, {}), "Zed"])]
    short, long, last = tagger_of(engine).predict(posts)
    assert [short.windows, last.windows] == [None, None]
    assert long.windows is not None
    assert [each.entities[0].text for each in (short, last)] == ["Zoe", "Zed"]


@pytest.mark.parametrize("segmentation", ["words", "characters"])
def test_a_text_is_cut_where_the_context_is_not_known_but_the_grammar_would_fail(segmentation: str) -> None:
    engine = NameFinder(context_size=None)
    most = most_characters(AnswerSpec(labels=LabelSet.of(["PER"]), segmentation=segmentation), "")
    text = document(most // 4, {most // 4 - 1: "Zed"})
    [tagged] = tagger_of(engine, segmentation=segmentation).predict([Example(id="1", text=text)])
    assert tagged.windows is not None
    assert [(each.text, each.start) for each in tagged.entities] == [("Zed", text.index("Zed"))]
    assert max(len(request.messages[-1]["content"][-1]["text"]) for request in engine.requests) < most + 1000


def test_a_prompt_that_leaves_no_room_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"post '1': the prompt without the text takes \d+ of the 40 tokens"):
        list(tagger_of(NameFinder(context_size=40)).predict([Example(id="1", text=document(2000, {}))]))


def test_an_inline_answer_has_room_for_the_text() -> None:
    engine = NameFinder(context_size=1000)
    text = document(3000, {})
    [tagged] = tagger_of(engine, format="inline").predict([Example(id="1", text=text)])
    assert tagged.windows is not None
    for request in engine.requests:
        around = engine.count_prompt(request)
        num_text = len(request.messages[-1]["content"][-1]["text"].split())
        assert request.max_tokens >= 1.4 * (num_text - 5)
        assert around + request.max_tokens <= 1000


@given(st.text(alphabet="ab .!日", max_size=1500), st.integers(0, 900))
def test_inline_windows_have_no_more_units_than_their_grammar_takes(text: str, start: int) -> None:
    spec = AnswerSpec(labels=LabelSet.of(["PER"]), format="inline")
    part = text[start : start + most_characters(spec, text)]
    assert len(chunks(part)) <= 601  # a unit that the beginning cuts counts as two
    assert most_characters(spec, "word " * 1000) == 1200
    assert most_characters(spec, "! " * 1000) == 600
