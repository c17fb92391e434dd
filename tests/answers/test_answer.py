"""The value that every format is read into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from test_answers import LABELS, spec

from instruct_mner.answers import codec
from instruct_mner.answers.answer import Answer, AnswerEntity
from instruct_mner.schema.records import Box, Entity, Rejected

FORMS = ("lines", "json", "inline")
NAMES = st.lists(st.sampled_from([None, *LABELS.names]), min_size=1, max_size=6)


def labelled_words(labels: list[str | None]) -> tuple[str, list[Entity]]:
    """A text of words that differ, of which some are entities."""
    words = [f"word{number}é" for number in range(len(labels))]
    entities, start = [], 0
    for word, label in zip(words, labels, strict=True):
        if label is not None:
            box = Box(box=(start, 1, start + 9, 1000))
            entities.append(Entity(start=start, end=start + len(word), text=word, label=label, boxes=(box,)))
        start += len(word) + 1
    return " ".join(words), entities


@given(NAMES)
def test_the_same_gold_is_the_same_answer_in_every_format_but_for_where_it_is_written(labels: list[str | None]) -> None:
    text, gold = labelled_words(labels)
    expected = tuple(
        AnswerEntity(start=entity.start, end=entity.end, label=entity.label, box=(entity.boxes or (None,))[0])
        for entity in gold
    )
    for form in FORMS:
        rules = spec(format=form, grounded=True)
        completion = codec.render(rules, text, gold)
        answer = codec.parse(rules, text, completion)
        bare = tuple(entity.model_copy(update={"written": ()}) for entity in answer.entities)
        assert Answer(entities=bare, rejected=answer.rejected) == Answer(entities=expected)
        position = 0
        for entity in answer.entities:
            pieces = []
            for start, end in entity.written:
                assert position <= start < end <= len(completion)
                position = end
                pieces.append(completion[start:end])
            assert text[entity.start : entity.end] in "".join(pieces)
            assert codec.in_format(rules).spelled(entity.label) in "".join(pieces)


@given(NAMES, st.sampled_from(["{}", "[RT] {}", "a | [b] {} ]", '"{}" [[']))
def test_label_and_mention_of_a_gold_answer_are_found_in_it(labels: list[str | None], around: str) -> None:
    inner, gold = labelled_words(labels)
    text, moved = around.format(inner), around.index("{}")
    gold = [each.model_copy(update={"start": each.start + moved, "end": each.end + moved}) for each in gold]
    for form in FORMS:
        rules = spec(format=form, grounded=True)
        answer, writer = codec.render(rules, text, gold), codec.in_format(rules)
        written, spelled = writer.written(text, answer), writer.spelled
        assert [answer[slice(*each.label)] for each in written] == [spelled(each.label) for each in gold]
        assert [answer[slice(*each.mention)] for each in written] == [each.text for each in gold]
        content = ["".join(answer[slice(*span)] for span in each.content) for each in written]
        expected = {"lines": "{0}{1}", "json": "{1}{0}", "inline": "[{1} | {0}"}[form]
        assert content == [expected.format(spelled(each.label), each.text) for each in gold]


@pytest.mark.parametrize("form", FORMS)
@given(
    st.sampled_from(LABELS.names), st.integers(0, 4), st.sampled_from([1, 9, 1000, None]), st.booleans(), st.booleans()
)
def test_no_entity_is_longer_than_its_frame_and_its_mention(
    form: str, label: str, num_images: int, box_range: int | None, grounded: bool, visible: bool
) -> None:
    rules = spec(format=form, grounded=grounded, box_range=box_range)
    limit = rules.box_limit
    box = Box(image=max(0, num_images - 1), box=(limit - 1, limit - 1, limit, limit))
    entity = Entity(start=0, end=3, text='A"b', label=label, boxes=(box,) if visible and num_images else ())
    writer = codec.in_format(rules, num_images)
    # An array has its own two brackets beside its objects.
    around = 2 if form == "json" else 0
    written, mention = writer.render('A"b', [entity]), writer.spelled('A"b')
    assert len(written) <= len(writer.frame(label)) + len(mention) + around


def test_an_answer_is_frozen_and_closed() -> None:
    answer = Answer()
    assert (answer.entities, answer.rejected) == ((), Rejected(malformed=0, hallucinated=0, unplaceable=0))
    with pytest.raises(ValidationError, match="frozen"):
        answer.entities = ()  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        AnswerEntity.model_validate({"start": 0, "end": 1, "label": "PER", "score": 0.5})
