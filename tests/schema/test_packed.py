"""Packed records, against the records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.schema.packed import PackedRecords, pack
from instruct_mner.schema.records import Box, Context, Entity, Example, PredictedEntity, Prediction, Rejected

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=3, max_size=30)
META = st.none() | st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.tuples(st.integers()),
)


@st.composite
def examples(draw) -> Example:
    text = draw(TEXTS)
    entity = Entity(
        start=1,
        end=3,
        text=text[1:3],
        label="PER",
        boxes=draw(st.sampled_from([None, (), (Box(box=(1, 2, 3.5, 4)),)])),
    )
    values = {
        "entities": draw(st.sampled_from([None, (), (entity,)])),
        "tokens": draw(st.sampled_from([None, (text,)])),
        "context": draw(st.sampled_from([None, Context(caption="a dog", tags=("dog",))])),
        "meta": draw(META),
    }
    given_values = {name: value for name, value in values.items() if value is not None or draw(st.booleans())}
    return Example(id=draw(TEXTS), text=text, images=("a.jpg",), **given_values)


@st.composite
def predictions(draw) -> Prediction:
    text = draw(TEXTS)
    box = draw(st.sampled_from([None, (), (Box(box=(1, 2, 3, 4)),)]))
    entity = PredictedEntity(start=0, end=2, text=text[:2], label="LOC", score=draw(st.floats(0, 1)), boxes=box)
    return Prediction(
        id=draw(TEXTS),
        text=text,
        images=("a.jpg",),
        entities=draw(st.sampled_from([(), (entity,)])),
        rejected=draw(st.sampled_from([Rejected(), Rejected(malformed=2)])),
        meta=draw(META),
    )


@given(st.lists(examples(), max_size=4) | st.lists(predictions(), max_size=4))
def test_records_come_back(records) -> None:
    packed = pack(records, least=1)
    assert isinstance(packed, PackedRecords) or not records
    assert len(packed) == len(records)
    assert list(packed) == records
    assert [each.model_fields_set for each in packed] == [each.model_fields_set for each in records]
    assert [each.model_dump_json() for each in packed] == [each.model_dump_json() for each in records]
    assert packed == tuple(records)
    assert list(packed[1:]) == records[1:]
    assert [packed[at] for at in range(len(records))] == records


def test_few_are_a_tuple() -> None:
    few = [Example(id=str(number), text="a post") for number in range(3)]
    assert pack(iter(few), least=4) == tuple(few)
    assert isinstance(pack(iter(few), least=3), PackedRecords)


def test_others_are_other() -> None:
    packed = pack([Example(id="1", text="a post")], least=1)
    assert packed != [Example(id="2", text="a post")]
    assert packed != []
    assert packed != 1
