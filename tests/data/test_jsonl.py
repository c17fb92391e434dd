from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split, read
from instruct_mner.errors import DataError
from instruct_mner.schema.labels import why_no_label
from instruct_mner.schema.records import Box, Context, Entity, Example

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
LABELS = WORDS.filter(lambda word: why_no_label(word) is None)
NUMBERS = st.integers(0, 500) | st.floats(0, 500)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x0, y0 = draw(NUMBERS), draw(NUMBERS)
    return Box(image=draw(st.integers(0, 1)), box=(x0, y0, x0 + draw(st.integers(1, 9)), y0 + 1))


@st.composite
def examples(draw: st.DrawFn) -> Example:
    words = draw(st.lists(WORDS, min_size=1, max_size=5))
    entities, start = [], 0
    for word in words:
        if draw(st.booleans()):
            found = draw(st.none() | st.lists(boxes(), max_size=2).map(tuple))
            entity = Entity(start=start, end=start + len(word), text=word, label=draw(LABELS), boxes=found)
            entities.append(entity)
        start += len(word) + 1
    return Example(
        id=draw(WORDS),
        text=" ".join(words),
        images=("a.jpg", "b/c.png"),
        entities=draw(st.sampled_from([tuple(entities), None])),
        tokens=draw(st.sampled_from([tuple(words), None])),
        context=draw(st.sampled_from([None, Context(caption="a dog", tags=("dog",), ocr="STOP")])),
    )


@given(st.lists(examples(), min_size=1, max_size=3, unique_by=lambda example: example.id))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, posts: list[Example]) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "posts.jsonl"
    write_jsonl(path, posts)
    # Not loaded: gold that no answer can say is a problem of its own.
    [reading] = read(str(path)).values()
    assert (reading.problems, reading.dataset.examples) == ((), tuple(posts))


def test_not_annotated_and_not_visible_are_two_things(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    entity = Entity(start=0, end=1, text="a", label="X")
    seen = entity.model_copy(update={"boxes": ()})
    write_jsonl(path, [Example(id="1", text="a", entities=(entity,)), Example(id="2", text="a", entities=(seen,))])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert "boxes" not in rows[0]["entities"][0]
    assert rows[1]["entities"][0]["boxes"] == []


GOOD = '{"id": 1, "text": "Ann left"}'


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"id": "2", "txt": "a", "text": "a"}', "txt: unknown field; did you mean 'text'?"),
        ('{"id": "2"}', "text: is needed"),
        ('{"id": "1", "text": "a"}', "id '1' stands already in line 1"),
        (
            '{"id": "2", "text": "Ann", "entities": '
            '[{"start": 0, "end": 3, "text": "Ann", "labl": "X", "label": "X"}]}',
            "entities.0.labl: unknown field; did you mean 'label'?",
        ),
        (
            '{"id": "2", "text": "Ann", "entities": [{"start": 0, "end": 3, "text": "Bob", "label": "X"}]}',
            "entity 'Bob' at 0:3 does not stand there: the text has 'Ann'",
        ),
        (
            '{"id": "2", "text": "Ann", "entities": [{"start": 0, "end": 2, "text": "Ann", "label": "X"}]}',
            "entities.0: entity 'Ann' has 3 characters, its offsets 0:2 span 2",
        ),
        (
            '{"id": "2", "text": "Ann", "images": ["a.jpg"], "entities": [{"start": 0, "end": 3, '
            '"text": "Ann", "label": "X", "boxes": [{"image": 0, "box": [5, 0, 1, 9]}]}]}',
            "entities.0.boxes.0: box [5, 0, 1, 9] is not [x0, y0, x1, y1]",
        ),
        ('{"id": "2", "text": "a"', "not JSON: EOF"),
        ("[]", "expected a JSON object"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{GOOD}\n\n{row}\n")
    [reading] = read(str(path)).values()
    [problem] = reading.problems
    assert problem.startswith(f"{path}:3: {reason}")
    assert "\n" not in problem
    assert [example.id for example in reading.dataset.examples] == ["1"]


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n")
    with pytest.raises(DataError, match="holds no post"):
        load_split(str(path))


def test_pictures_lie_beside_the_file_or_where_they_are_said_to(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "1", "text": "a", "images": ["p/1.jpg"]}\n')
    with pytest.raises(DataError, match=r"1 of 1 pictures are missing \(p/1.jpg\): not in "):
        load_split(str(path))
    other = tmp_path / "other"
    (other / "p").mkdir(parents=True)
    (other / "p" / "1.jpg").touch()
    dataset = load_split(str(path), images=other)
    assert dataset.picture_paths(dataset.examples[0]) == (other / "p" / "1.jpg",)
