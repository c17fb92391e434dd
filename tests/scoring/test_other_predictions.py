"""Predictions of other programs: every form gives the same score, matched by id, order or text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from scoring_cases import ANNA, NOTHING
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.data.loading import load
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.schema.records import Box, Entity, Example, PredictedEntity, Prediction, Rejected
from instruct_mner.scoring.foreign_types import note_on_types
from instruct_mner.scoring.imported_predictions import imported_rows
from instruct_mner.scoring.other_answers import PredictionNotes, answer_spec, of_answer
from instruct_mner.scoring.other_predictions import read_others, rows_of_others
from instruct_mner.scoring.other_texts import on_text_of, squeezed
from instruct_mner.scoring.predictions import read_predictions
from instruct_mner.scoring.triples import score_triples

POSTS = (ANNA, NOTHING)
NAMED = [{"text": "Anna", "label": "PER"}, {"text": "Oslo", "label": "LOC"}]
LINES = "PER: Anna\nLOC: Oslo"


def factory(answer: str, post: Example) -> dict[str, Any]:
    return {"prompt": f"user\nFind entities. Post: {post.text}\nassistant\n", "predict": answer, "label": "[]"}


def swift(answer: str, post: Example) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Post: {post.text}"}, {"role": "assistant", "content": answer}]
    return {"response": answer, "labels": "[]", "images": [], "messages": messages}


def written(folder: Path, rows: list[Any], name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_text(json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows))
    return path


def spans(predictions: Sequence[Prediction]) -> list[tuple[str, list[tuple[int, int, str]]]]:
    return [(each.id, [(e.start, e.end, e.label) for e in each.entities]) for each in predictions]


GOLD = [("a", [(0, 4, "PER"), (13, 17, "LOC")]), ("b", [])]


@pytest.mark.parametrize("form", [factory, swift])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize(
    ("answer", "nothing"),
    [
        (json.dumps(NAMED), "[]"),
        (f"```json\n{json.dumps(NAMED, indent=1)}\n```", "```\n[]\n```"),
        (json.dumps({"PER": ["Anna"], "LOC": ["Oslo"]}), "{}"),
        (json.dumps([["Anna", "PER"], ["Oslo", "LOC"]]), "[]"),
        (LINES, "none"),
        (json.dumps({"entities": NAMED}), '{"entities": []}'),
        (f"<think>PER: a\n[{{}}]</think>\n\n{json.dumps(NAMED)}", "<think>\n</think>none"),
        (f"PER: Oslo, or is it\n[{{}}]?</think>\n\n{json.dumps(NAMED)}", "PER: see?</think>none"),
    ],
)
def test_answers_of_every_form(
    form: Callable[[str, Example], Any], name: str, answer: str, nothing: str, tmp_path: Path
) -> None:
    path = written(tmp_path, [form(answer, ANNA), form(nothing, NOTHING)], name)
    predictions = read_predictions(path, POSTS)
    assert spans(predictions) == GOLD
    assert sum(each.rejected.total for each in predictions) == 0
    turned = written(tmp_path, [form(nothing, NOTHING), form(answer, ANNA)], name)
    assert spans(read_predictions(turned, POSTS)) == GOLD[::-1]


def test_what_is_no_answer_is_rejected_and_counted(tmp_path: Path) -> None:
    rows = [factory('[{"text": "Anna", "label": "PER"}, {"text": "Rome", "label": "LOC"}]', ANNA),
            factory("I cannot say.", NOTHING)]  # fmt: skip
    first, second = read_predictions(written(tmp_path, rows), POSTS)
    assert (len(first.entities), first.rejected.hallucinated) == (1, 1)
    assert (second.entities, second.rejected.malformed) == ((), 1)


@pytest.mark.parametrize("nothing", ["None", "none.", "", " \n", "null", "```\n```", "<think>?</think>NONE"])
def test_an_answer_that_is_empty_or_says_none_holds_no_entity(nothing: str, tmp_path: Path) -> None:
    _, second = read_predictions(written(tmp_path, [factory(LINES, ANNA), factory(nothing, NOTHING)]), POSTS)
    assert (second.entities, second.rejected.total) == ((), 0)


def test_an_answer_that_ends_in_its_thought_is_one_malformed_item(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, [factory("<think>PER: Anna\nLOC: Oslo\nWait", ANNA), factory("none", NOTHING)])
    first, _ = read_predictions(path, POSTS)
    assert (first.entities, first.rejected) == ((), Rejected(malformed=1))
    assert "1 answers end within <think>" in capsys.readouterr().err


@pytest.mark.parametrize(
    "answer",
    [
        "Per: Anna\nB-LOC: Oslo\nSure: that is all",
        '[{"text": "Anna", "label": "Per"}, ["Oslo", "B-LOC"], ["Anna", "X"]]',
    ],
)
def test_types_of_answers_in_another_spelling_stay_those_of_entities_and_are_told(answer: str, tmp_path: Path) -> None:
    read = read_predictions(written(tmp_path, [factory(answer, ANNA), factory("none", NOTHING)]), POSTS)
    assert spans(read) == [("a", [(0, 4, "Per"), (13, 17, "B-LOC")]), ("b", [])]
    assert read[0].rejected == Rejected(malformed=1)
    assert "did you mean LOC by B-LOC, PER by Per?" in (note_on_types(POSTS, read) or "")


_CUT = [{"start": 0, "end": 3, "label": "PER"}, {"start": 13, "end": 16, "label": "LOC"}]


@pytest.mark.parametrize(
    ("name", "left_out", "as_lists"),
    [
        *((name, left_out, False) for name in ("a.jsonl", "a.json", "a.parquet") for left_out in ("", "id", "text")),
        ("a.jsonl", "id", True),
        ("a.json", "text", True),
    ],
)
def test_ends_of_the_last_characters_are_refused(name: str, left_out: str, as_lists: bool, tmp_path: Path) -> None:
    found = [list(each.values()) for each in _CUT] if as_lists else _CUT
    rows = [{"id": "a", "text": ANNA.text, "entities": found}, {"id": "b", "text": NOTHING.text, "entities": []}]
    rows = [{key: value for key, value in row.items() if key != left_out} for row in rows]
    if name == "a.parquet":
        path = tmp_path / name
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        path = written(tmp_path, rows, name)
    with pytest.raises(DataError, match=r"2 of 2 mentions without a text cut a word by its last .*'Ann' for"):
        read_predictions(path, POSTS)


def test_ends_of_the_last_characters_in_answers_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [factory(json.dumps(_CUT), ANNA), factory("[]", NOTHING)])
    assert starts(read_predictions(path, POSTS)[0]) == [0, 13]
    assert "2 of 2 mentions without a text cut a word" in capsys.readouterr().err


PARIS = Example(
    id="p", text="🎉 Paris met Paris in Paris", entities=(Entity(start=21, end=26, text="Paris", label="LOC"),)
)
_AT = [{"start": 21, "end": 26}, {"start": 21, "end": 25}, {"start": 22, "end": 27}, {"start": 24, "end": 29}]


def paris(*items: Any, cut: bool = False) -> Prediction:
    """Read the answer of such items on a post that holds the mention three times."""
    answer = json.dumps([{"text": "Paris", "label": "LOC", **item} if isinstance(item, dict) else item
                         for item in items])  # fmt: skip
    row = factory(answer[:-1] if cut else answer, PARIS)
    return of_answer(row["predict"], PARIS, answer_spec([PARIS]) or pytest.fail(), PredictionNotes())


def starts(prediction: Prediction) -> list[int]:
    return [each.start for each in prediction.entities]


@pytest.mark.parametrize("at", _AT, ids=["characters", "inclusive", "utf-16", "bytes"])
@pytest.mark.parametrize("cut", [False, True])
def test_offsets_of_an_answer_hold_where_its_mention_stands_at_them(at: dict[str, int], cut: bool) -> None:
    assert starts(paris(at, cut=cut)) == [21]
    assert starts(paris({}, at, {}, cut=cut)) == [2, 12, 21]
    assert starts(paris({"start": 3, "end": 8}, at, cut=cut)) == [2, 21]


def test_offsets_alone_are_those_of_characters_and_what_stands_twice_is_rejected() -> None:
    assert starts(paris([21, 26, "LOC"])) == [21]
    twice = paris([21, 26, "LOC"], {"start": 21, "end": 26}, {"start": 21})
    assert (starts(twice), twice.rejected) == ([2, 21], Rejected(unplaceable=1))
    wrong = paris([21, 99, "LOC"], [-9, 5, "LOC"], [1, 2, "LOC"], {"start": "9" * 999, "end": 1})
    assert (starts(wrong), wrong.rejected) == ([2], Rejected(malformed=3))


def test_answers_of_the_conversations_that_convert_writes_hold_their_boxes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, large = Box(box=(1, 2, 3, 4)), Box(box=(10, 20, 60, 80))
    entities = tuple(each.model_copy(update={"boxes": boxes})
                     for each, boxes in zip(ANNA.gold, [(small, large), ()], strict=True))  # fmt: skip
    posts = [ANNA.model_copy(update={"images": ("7.png",), "entities": entities}), NOTHING]
    (tmp_path / "gold.jsonl").write_text("".join(f"{post.model_dump_json(exclude_none=True)}\n" for post in posts))
    done = CliRunner().invoke(app, ["convert", str(tmp_path / "gold.jsonl"), str(tmp_path / "a.json"),
                                    "--to", "sharegpt", "--missing-image", "keep"])  # fmt: skip
    assert done.exit_code == 0, done.output
    turns = [row["conversations"] for row in json.loads((tmp_path / "a.json").read_text())]
    rows = [{"prompt": question["value"], "predict": answer["value"]} for question, answer in turns]
    cut = {**rows[0], "predict": rows[0]["predict"][:-1]}
    for first in (rows[0], cut):
        read = read_predictions(written(tmp_path, [first, rows[1]]), posts)
        assert [[each.boxes for each in post.entities] for post in read] == [[(large,), ()], []]
        assert score_triples(posts, read).gmner.correct.sum() == 2
        assert "1 entities have several boxes, and the largest of each was taken" in capsys.readouterr().err


def test_boxes_that_can_be_none_are_malformed_and_fields_that_are_not_read_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = [ANNA.model_copy(update={"images": ("7.png",)}), NOTHING]
    items = [{**NAMED[0], "box": [1, 2, 3, 4]}, {**NAMED[1], "box": [3, 4, 1, 2]},
             {**NAMED[1], "boxes": [{"image": 1, "box": [1, 2, 3, 4]}]}]  # fmt: skip
    first, _ = read_predictions(written(tmp_path, [factory(json.dumps(items), ANNA), factory("", NOTHING)]), seen)
    assert [each.boxes for each in first.entities] == [(Box(box=(1, 2, 3, 4)),)]
    assert first.rejected == Rejected(malformed=2)
    items = [{**NAMED[0], "bbox_2d": [1, 2, 3, 4]}, {**NAMED[1], "why": "a city"}]
    path = written(tmp_path, [factory(json.dumps(items), ANNA), factory("", NOTHING)])
    assert spans(read_predictions(path, seen)) == GOLD
    assert "fields of entities that are left out: bbox_2d, why" in capsys.readouterr().err


def test_choices_of_mentions_without_offsets_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": PARIS.text, "entities": [{"text": "Paris", "label": "LOC", "score": 0.5}]}]
    assert starts(read_predictions(written(tmp_path, rows), [PARIS])[0]) == [2]
    said = capsys.readouterr().err
    assert "1 mentions without offsets stand more than once in their text, and the first places were taken" in said
    assert "left out" not in said


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_plain_rows_without_ids(name: str, tmp_path: Path) -> None:
    rows = [
        {"text": ANNA.text, "entities": [{"start": 0, "end": 4, "label": "PER", "score": 0.25}, {"start": 13, "end": 17,
                                                                                                "label": "LOC"}]},
        {"text": NOTHING.text, "entities": []},
    ]  # fmt: skip
    predictions = read_predictions(written(tmp_path, rows, name), POSTS)
    assert spans(predictions) == GOLD
    assert predictions[0].entities[0].score == 0.25
    others = [{"text": ANNA.text, "entities": [[0, 4, "PER"], [13, 17, "LOC"]]}, {"text": NOTHING.text, "entities": []}]
    assert spans(read_predictions(written(tmp_path, others, name), POSTS)) == GOLD


WHOLE: dict[str, Any] = {
    "id": "a", "entities": [{"start": 0, "end": 4, "label": "PER", "score": 0.25, "boxes": []}, {"start": 13, "end": 17,
    "label": "LOC", "score": 0.5, "boxes": [{"image": 0, "box": [1, 2, 3, 4]}]}], "rejected": {"malformed": 2},
}  # fmt: skip


@pytest.mark.parametrize("change", [{}, {"model": "x"}, {"type": "PER", "label": None}], ids=str)
def test_scores_boxes_and_rejected_items_are_read_whatever_else_an_entity_holds(
    change: dict[str, Any], tmp_path: Path
) -> None:
    seen = ANNA.model_copy(update={"images": ("7.png",)})
    first, *others = WHOLE["entities"]
    row = {**WHOLE, "entities": [{**first, **change}, *others]}
    read = read_predictions(written(tmp_path, [row, {"id": "b", "entities": []}]), (seen, NOTHING))
    assert [(each.score, each.boxes) for each in read[0].entities] == [(0.25, ()), (0.5, (Box(box=(1, 2, 3, 4)),))]
    assert (read[0].rejected.malformed, read[1].rejected.total) == (2, 0)
    assert spans(read)[0] == GOLD[0]


def test_a_table_that_convert_wrote_holds_all_that_predictions_hold(tmp_path: Path) -> None:
    seen = ANNA.model_copy(update={"images": ("7.png",)})
    entities = [{**each, "text": ANNA.text[each["start"] : each["end"]]} for each in WHOLE["entities"]]
    row = {**WHOLE, "text": ANNA.text, "images": ["7.png"], "entities": entities}
    source = written(tmp_path, [row])
    done = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "a.csv")])
    assert done.exit_code == 0, done.output
    assert list(read_predictions(tmp_path / "a.csv", [seen])) == list(read_predictions(source, [seen]))


def test_confidences_in_the_cells_of_a_table_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'id,text,entities\na,Anna flew to Oslo,"[{""start"": 0, ""end"": 4, ""label"": ""PER"", ""score"": 0.25}]"\n'
        "b,nothing to see,[]\n"
    )
    read = read_predictions(tmp_path / "a.csv", POSTS)
    assert [[each.score for each in prediction.entities] for prediction in read] == [[0.25], []]
    assert spans(read)[0] == ("a", [(0, 4, "PER")])


def test_rows_with_ids_of_the_gold_are_matched_by_them(tmp_path: Path) -> None:
    rows = [{"id": "b", "entities": []}, {"id": "a", "entities": NAMED}]
    path = written(tmp_path, rows, "a.json")
    assert spans(read_others(path, rows_of_others(path) or [], POSTS)) == GOLD[::-1]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([factory("[]", ANNA)], "its 1 rows have no ids of the gold, which has 2 posts"),
        ([factory("[]", ANNA), factory("[]", ANNA)], "row 2 is not that of post 'b'"),
        ([{"text": ANNA.text, "entities": None}, {"text": NOTHING.text, "entities": []}], "entities: is needed"),
        ([{"text": ANNA.text, "entities": [[0, 4, "PER"]]}, {"text": NOTHING.text, "entities": [[0, 99, "X"]]}],
         "row 2: entity with the offsets 0 to 99 lies outside"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(rows: list[Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason):
        read_predictions(written(tmp_path, rows), POSTS)


OTHER = [{"id": "a", "text": "Omar flew to Rome"}, {"id": "b", "text": "no more to see"}]


@pytest.mark.parametrize(
    ("name", "rows", "reason"),
    [
        ("a.json", [{**row, "entities": []} for row in OTHER],
         "row 1: its text 'Omar flew to Rome' is not that of post 'a'"),
        ("a.csv", "id,text,entities\na,Omar flew to Rome,[]\nb,nothing to see,[]\n", "is not that of post 'a'"),
        ("a.jsonl", [{"id": row["id"], "prompt": row["text"], "predict": "none"} for row in OTHER],
         "2 of 2 rows were not asked about the post of their id: the question of row 1"),
        ("a.json", [{"text": f"{ANNA.text} again", "entities": []}, {"text": NOTHING.text, "entities": []}],
         "row 1: its text 'Anna flew to Oslo again' is not that of post 'a'"),
    ],
)  # fmt: skip
def test_predictions_of_other_texts_are_refused_though_their_ids_agree(
    name: str, rows: str | list[Any], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if isinstance(rows, str):
        path.write_text(rows)
    else:
        path = written(tmp_path, rows, name)
    with pytest.raises(DataError, match=reason):
        read_predictions(path, POSTS)


@given(st.lists(st.sampled_from(["Anna", "Bo's", "é", "'", "。", "10%"]), min_size=1, max_size=8), st.data())
def test_entities_on_a_text_with_other_blanks_are_where_they_are_in_the_gold(
    words: list[str], data: st.DataObject
) -> None:
    blanks = st.lists(st.sampled_from(["", " ", "\n ", "\u3000"]), min_size=len(words), max_size=len(words))
    gold, own = ("".join(map("".join, zip(data.draw(blanks), words, strict=True))) for _ in range(2))
    post = Example(id="a", text=gold)
    starts = [at for at, character in enumerate(own) if not character.isspace()]
    start = data.draw(st.sampled_from(starts))
    end = data.draw(st.sampled_from([at + 1 for at in starts if at >= start]))
    entity = PredictedEntity(start=start, end=end, text=own[start:end], label="X")
    [moved] = on_text_of(Prediction(id="a", text=own, entities=(entity,)), post).entities
    assert squeezed(moved.text) == squeezed(entity.text)
    assert squeezed(gold[: moved.start]) == squeezed(own[:start])
    assert moved.text == gold[moved.start : moved.end].strip()


def test_files_of_tag_are_none_of_others(tmp_path: Path) -> None:
    assert rows_of_others(written(tmp_path, [{"id": "a", "text": "x", "entities": []}])) is None
    assert rows_of_others(written(tmp_path, [{"id": "a", "text": "x"}])) is None
    with pytest.raises(DataError, match="expected an object, found '3'"):
        rows_of_others(written(tmp_path, [3], "a.json"))
    (tmp_path / "b.json").write_text("[")
    with pytest.raises(DataError, match="not JSON"):
        rows_of_others(tmp_path / "b.json")
    (tmp_path / "c.jsonl").write_text(json.dumps(factory("[]", ANNA)) + "\n{\n")
    with pytest.raises(DataError, match=r"c\.jsonl:2: not a JSON object"):
        rows_of_others(tmp_path / "c.jsonl")


def test_folders_and_data_sets_that_import_reads_are_scored(tmp_path: Path) -> None:
    for post in POSTS:
        (tmp_path / "brat").mkdir(exist_ok=True)
        (tmp_path / "brat" / f"{post.id}.txt").write_text(post.text)
        lines = [f"T{number}\t{each.label} {each.start} {each.end}\t{each.text}\n" for number, each
                 in enumerate(post.gold, start=1)]  # fmt: skip
        (tmp_path / "brat" / f"{post.id}.ann").write_text("".join(lines))
    rows = [post.model_dump(include={"id", "text", "entities"}, exclude_none=True) for post in POSTS]
    Dataset.from_list(rows).save_to_disk(str(tmp_path / "hf"))
    (tmp_path / "set").mkdir()
    scored = [{**row, "entities": [{**each, "score": 0.5} for each in row["entities"]]} for row in rows]
    written(tmp_path / "set", scored, "test.jsonl")
    for name in ("{}/brat", "hub:{}/hf", "{}/set", "jsonl:{}/set/test.jsonl"):
        assert sorted(spans(read_predictions(Path(name.format(tmp_path)), POSTS))) == GOLD
    written(tmp_path / "set", scored, "train.jsonl")
    with pytest.raises(ConfigError, match="set holds the splits train, test; name the one to score"):
        read_predictions(tmp_path / "set", POSTS)
    with pytest.raises(DataError, match=r"no split found; .*, from brat, turned into JSONL: instruct-mner import "):
        load(str(tmp_path / "brat"))


def test_tags_in_a_table_are_decoded_as_those_of_columns(tmp_path: Path) -> None:
    words = ["id,token,tag", "a,Anna,I-PER", "a,flew,O", "a,to,O", "a,Oslo,B-LOC", "b,nothing,O", "b,to,O", "b,see,O"]
    (tmp_path / "a.csv").write_text("\n".join(words))
    assert spans(read_predictions(tmp_path / "a.csv", POSTS)) == GOLD
    assert spans(read_predictions(tmp_path / "a.csv", POSTS, "strict")) == [("a", [(13, 17, "LOC")]), ("b", [])]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
@pytest.mark.parametrize(
    "found", [{"text": "Anna", "label": "PER"}, {"word": "Anna", "entity_group": "PER", "start": 0, "end": 4}]
)
def test_rows_with_ids_and_texts_may_hold_entities_as_other_programs_name_them(
    name: str, found: dict[str, Any], tmp_path: Path
) -> None:
    rows = [{"id": "b", "text": NOTHING.text, "entities": []}, {"id": "a", "text": ANNA.text, "entities": [found]}]
    if name == "a.parquet":
        parquet.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        written(tmp_path, rows, name)
    assert spans(read_predictions(tmp_path / name, POSTS)) == [("b", []), ("a", [(0, 4, "PER")])]


def test_rows_of_ids_and_entities_alone_take_the_text_of_the_gold(tmp_path: Path) -> None:
    rows = [{"id": "b", "entities": []}, {"id": "a", "entities": [{"start": 0, "end": 4, "label": "PER"}]}]
    read = read_predictions(written(tmp_path, rows), POSTS)
    assert spans(read) == [("b", []), ("a", [(0, 4, "PER")])]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,start,end,label\nnothing to see,,,\nAnna flew to Oslo,0,4,PER\nAnna flew to Oslo,13,17,LOC\n"),
        ("a.csv", 'text,entities\nAnna flew to Oslo,"[[0, 4, ""PER""], [13, 17, ""LOC""]]"\nnothing to see,[]\n'),
        (
            "a.jsonl",
            '{"tokens": ["Anna", "flew", "to", "Oslo"], "ner_tags": ["B-PER", "O", "O", "B-LOC"]}\n'
            '{"tokens": ["nothing", "to", "see"], "ner_tags": ["O", "O", "O"]}\n',
        ),
        (
            "a.jsonl",
            '{"text": "Anna flew to Oslo", "label": [[0, 4, "PER"], [13, 17, "LOC"]]}\n'
            '{"text": "nothing to see", "label": []}\n',
        ),
        (
            "a.jsonl",
            '["Anna flew to Oslo", {"entities": [[0, 4, "PER"], [13, 17, "LOC"]]}]\n'
            '["nothing to see", {"entities": []}]',
        ),
        (
            "a.json",
            '[["nothing to see", {"entities": []}],'
            ' ["Anna flew to Oslo", {"entities": [[0, 4, "PER"], [13, 17, "LOC"]]}]]',
        ),
    ],
)
def test_what_import_reads_is_scored(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    read = read_predictions(tmp_path / name, POSTS)
    assert sorted(spans(read)) == GOLD
    assert list(tmp_path.iterdir()) == [tmp_path / name]


@pytest.mark.parametrize("target", ["label-studio", "argilla", "spacy", "doccano", "coco"])
def test_what_convert_writes_for_a_tool_is_scored_with_the_boxes_that_it_holds(target: str, tmp_path: Path) -> None:
    Image.new("RGB", (90, 90)).save(tmp_path / "7.png")
    small, large = Box(box=(1, 2, 3, 4)), Box(box=(10, 20, 60, 80))
    entities = tuple(each.model_copy(update={"boxes": (small, large)}) for each in ANNA.gold)
    posts = [ANNA.model_copy(update={"images": ("7.png",), "entities": entities})]
    (tmp_path / "gold.jsonl").write_text(posts[0].model_dump_json(exclude_none=True))
    path = tmp_path / ("a.jsonl" if target == "doccano" else "a.json")
    done = CliRunner().invoke(app, ["convert", str(tmp_path / "gold.jsonl"), str(path), "--to", target])
    assert done.exit_code == 0, done.output
    read = read_predictions(path, posts)
    assert spans(read) == GOLD[:1]
    assert {each.boxes for each in read[0].entities} == {(large,) if target in {"label-studio", "coco"} else None}


@pytest.mark.parametrize("target", ["label-studio", "argilla"])
@pytest.mark.parametrize("scored", [True, False])
def test_what_models_predicted_in_a_tool_is_scored(target: str, scored: bool, tmp_path: Path) -> None:
    seen = ANNA.model_copy(update={"images": ("7.png",)})
    Image.new("RGB", (90, 90)).save(tmp_path / "7.png")
    entities = [{**each, "text": ANNA.text[each["start"] : each["end"]]} for each in WHOLE["entities"]]
    rows = [{**WHOLE, "text": ANNA.text, "images": ["7.png"], "entities": entities[::-1], "rejected": {}},
            {"id": "b", "text": NOTHING.text, "entities": [], "rejected": {}}]  # fmt: skip
    if not scored:
        for entity in entities:
            del entity["score"]
    source, path = written(tmp_path, rows), tmp_path / "tasks.json"
    done = CliRunner().invoke(app, ["convert", str(source), str(path), "--to", target])
    assert done.exit_code == 0, done.output
    read = read_predictions(path, (seen, NOTHING))
    expected = read_predictions(source, (seen, NOTHING))
    assert spans(read) == GOLD
    assert [[each.score for each in post.entities] for post in read] == [
        [each.score for each in post.entities] for post in expected
    ]
    if target == "label-studio":
        assert [each.boxes for each in read[0].entities] == [None, (Box(box=(1, 2, 3, 4)),)]
    lines = written(tmp_path, json.loads(path.read_text()), "tasks.jsonl")
    assert spans(read_predictions(lines, (seen, NOTHING))) == GOLD


@pytest.mark.parametrize("to", [None, "coco"])
def test_json_on_one_line_is_no_file_of_columns_whatever_words_stand_in_it(to: str | None, tmp_path: Path) -> None:
    entity = Entity(start=0, end=8, text="Jackie O", label="PER", boxes=(Box(box=(1, 2, 3, 4)),))
    post = Example(id="a", text="Jackie O", images=("7.png",), entities=(entity,))
    gold, path = tmp_path / "gold.jsonl", tmp_path / "a.json"
    gold.write_text(post.model_dump_json(exclude_none=True))
    if to is None:
        path.write_text(f"[{gold.read_text()}]")
    else:
        Image.new("RGB", (90, 90)).save(tmp_path / "7.png")
        done = CliRunner().invoke(app, ["convert", str(gold), str(path), "--to", to])
        assert done.exit_code == 0, done.output
    assert spans(read_predictions(path, [post])) == [("a", [(0, 8, "PER")])]


def test_a_docbin_of_spacy_is_scored(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    document = spacy.blank("en")(ANNA.text)
    document.ents = [document.char_span(each.start, each.end, label=each.label) for each in ANNA.gold]
    spacy.tokens.DocBin(docs=[document]).to_disk(tmp_path / "a.spacy")
    assert spans(read_predictions(tmp_path / "a.spacy", [ANNA])) == GOLD[:1]


def test_confidences_of_a_table_of_mentions_are_kept(tmp_path: Path) -> None:
    rows = "Anna flew to Oslo,13,17,LOC,0.5\nAnna flew to Oslo,0,4,PER,1\nnothing to see,,,,\n"
    (tmp_path / "a.csv").write_text(f"text,start,end,label,score\n{rows}")
    read = read_predictions(tmp_path / "a.csv", POSTS)
    assert [[(each.label, each.score) for each in post.entities] for post in read] == [[("PER", 1.0), ("LOC", 0.5)], []]
    (tmp_path / "a.csv").write_text(f"text,start,end,label,score\n{rows.replace('0.5', '50')}")
    with pytest.raises(DataError, match="confidences are numbers from 0 to 1"):
        imported_rows(tmp_path / "a.csv")


def test_a_table_without_predictions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nAnna flew to Oslo\nnothing to see\n")
    with pytest.raises(DataError, match="2 of 2 posts hold no prediction, not even that there is none"):
        read_predictions(tmp_path / "a.csv", POSTS)
