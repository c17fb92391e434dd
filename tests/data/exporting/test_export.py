"""Every format that is written: read back as ``import`` reads it, and what it cannot hold is counted."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from command import exit_code
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from instruct_mner.data.exporting import readback
from instruct_mner.data.exporting.posts import ExportedPosts, as_gold, of_dataset, read_predicted
from instruct_mner.data.exporting.readback import losses, read_back
from instruct_mner.data.exporting.run import export, write_splits
from instruct_mner.data.exporting.targets import TARGETS, choose_target
from instruct_mner.data.loading import load
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.files import replacing
from instruct_mner.schema.records import Box, Context, Entity, Example, PredictedEntity, Prediction, Rejected

BY_NAME = {target.name: target for target in TARGETS}
WIDTH, HEIGHT = 200, 100
WORD = st.text(st.characters(codec="utf-8", categories=["Ll", "Lo", "Nd"]), min_size=1, max_size=4).filter(
    lambda word: word not in {"nan", "null"}
)
LABEL = st.sampled_from(["PER", "LOC", "a label", "ORG-X"])


@st.composite
def posts(draw: st.DrawFn, number: int) -> Example:
    words = draw(st.lists(WORD, min_size=1, max_size=5))
    picture = draw(st.booleans())
    entities, start = [], 0
    for word in words:
        if draw(st.booleans()):
            x0, y0 = draw(st.integers(0, WIDTH - 2)), draw(st.integers(0, HEIGHT - 2))
            box = Box(box=(x0, y0, draw(st.integers(x0 + 1, WIDTH)), draw(st.integers(y0 + 1, HEIGHT))))
            some = st.none() | st.just((box,)) if picture else st.none()
            entities.append(Entity(start=start, end=start + len(word), text=word, label=draw(LABEL), boxes=draw(some)))
        start += len(word) + 1
    return Example(
        id=f"p{number}",
        text=" ".join(words),
        images=(f"p{number}.png",) if picture else (),
        entities=tuple(entities),
        meta=draw(st.sampled_from([None, {"lang": "en", "n": 3}])),
        context=draw(st.sampled_from([None, Context(caption="a dog", tags=("x",))])),
    )


def exported(folder: Path, examples: list[Example], name: str, file: str) -> tuple[Sequence[Example], list[str]]:
    """Write posts and read them by ``import``, as a user does."""
    paths = {picture: folder / picture for post in examples for picture in post.images}
    for path in paths.values():
        Image.new("L", (WIDTH, HEIGHT)).save(path)
    target = BY_NAME[name]  # type: ignore[index]
    notes = export(ExportedPosts("a/train", tuple(examples), paths), folder / file, target)
    assert target.read is not None
    assert sorted(path.name for path in folder.iterdir()) == sorted({file, *paths})
    return read_back(str(folder / file), folder, target.read), notes


def without_boxes(post: Example) -> Example:
    return post.model_copy(
        update={"entities": tuple(entity.model_copy(update={"boxes": None}) for entity in post.gold)}
    )


HOLDS: dict[str, tuple[str, Callable[[Example], Example]]] = {
    "csv": ("a.csv", lambda post: post),
    "parquet": ("a.parquet", lambda post: post),
    "doccano": ("a.jsonl", without_boxes),
    "argilla": ("a.json", lambda post: without_boxes(post).model_copy(update={"context": None})),
    "label-studio": ("a.json", lambda post: post.model_copy(update={"context": None})),
}


@pytest.mark.parametrize("name", HOLDS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    examples = [data.draw(posts(number)) for number in range(data.draw(st.integers(1, 3)))]
    file, kept = HOLDS[name]
    read, notes = exported(tmp_path_factory.mktemp("trip"), examples, name, file)
    assert list(read) == [kept(post) for post in examples]
    assert ("it holds all" in notes[0]) == (list(read) == examples)


@settings(max_examples=20, deadline=None)
@given(
    text=st.text(st.sampled_from("ab[]{}\"',1\r\n\t 京"), min_size=1, max_size=12), times=st.sampled_from([1, 20000])
)
def test_csv_holds_texts_of_all_signs_and_lengths(
    tmp_path_factory: pytest.TempPathFactory, text: str, times: int
) -> None:
    whole = f"{text * times} Bo"
    entity = Entity(start=len(whole) - 2, end=len(whole), text="Bo", label="PER")
    examples = [Example(id="[1]", text=whole, entities=(entity,)), Example(id="2", text="[1, 2]", entities=())]
    read, notes = exported(tmp_path_factory.mktemp("trip"), examples, "csv", "a.csv")
    assert list(read) == examples
    assert "it holds all" in notes[0]


@pytest.mark.parametrize("number", range(4))
def test_a_post_that_cannot_be_read_again_is_named(number: int, tmp_path: Path) -> None:
    examples = [Example(id=f"p{at}", text="nan" if at == number else "Anna", entities=()) for at in range(4)]
    with pytest.raises(DataError) as error:
        exported(tmp_path, examples, "csv", "a.csv")
    assert str(error.value).startswith(f"{tmp_path}/a.csv: post 'p{number}' cannot be written as CSV")
    assert "the file: the text is 'nan'" in str(error.value)
    assert "posts.csv" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_is_an_id_is_refused_in_columns(tmp_path: Path) -> None:
    examples = [Example(id="1", text="Anna", entities=()), Example(id="2", text="so IMGID:5 left", entities=())]
    with pytest.raises(DataError, match="post '2': token 'IMGID:5' is the id of a post in columns"):
        exported(tmp_path, examples, "conll", "a.conll")


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_spacy_and_sharegpt_hold_texts_and_mentions(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    examples = [data.draw(posts(number)) for number in range(2)]
    for name in ("spacy", "sharegpt"):
        read, notes = exported(tmp_path_factory.mktemp("trip"), examples, name, "a.json")
        assert [post.text for post in read] == [post.text for post in examples]
        mentions = [[sorted((e.text, e.label) for e in post.gold) for post in side] for side in (read, examples)]
        assert mentions[0] == mentions[1]
        assert ("ids of 2 posts" in notes[0]) == (name == "spacy")
        moved = sum(
            (e.start, e.label) not in {(f.start, f.label) for f in other.gold}
            for post, other in zip(examples, read, strict=True)
            for e in post.gold
        )
        assert (f"places of {moved} mentions" in notes[0]) == (moved > 0)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_conll_holds_tokens_and_tags(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    examples = [data.draw(posts(number)) for number in range(2)]
    read, notes = exported(tmp_path_factory.mktemp("trip"), examples, "conll", "a.conll")
    assert [post.id for post in read] == ["p0", "p1"]
    assert [[(e.text, e.label) for e in post.gold] for post in read] == [
        [(e.text, e.label) for e in post.gold] for post in examples
    ]
    boxes = sum(bool(entity.boxes) for post in examples for entity in post.gold)
    same_texts = [post.text for post in read] == [post.text for post in examples]
    assert (f"boxes of {boxes} mentions" in notes[0]) == (boxes > 0)
    assert (" texts of" in notes[0]) == (not same_texts)


@given(
    words=st.lists(
        st.tuples(WORD | st.sampled_from('.,!"(#'), st.sampled_from(["", " ", "  ", "\u00a0", "\t"])),
        min_size=1,
        max_size=6,
    )
)
@example(words=[("京", " "), ("去", " ")])
def test_columns_hold_the_blanks_between_tokens(
    tmp_path_factory: pytest.TempPathFactory, words: list[tuple[str, str]]
) -> None:
    text, entities, words = "", [], [("Anna", ""), *words]
    for word, gap in words:
        # Two words with nothing between them would be one.
        text += (gap or " " if word.isalnum() and text[-1:].isalnum() else gap) if text else ""
        if word.isalnum():
            entities.append(Entity(start=len(text), end=len(text) + len(word), text=word, label="PER"))
        text += word
    tokens = tuple(word for word, _ in words)
    post = Example(id="p0", text=text, tokens=tokens, entities=tuple(entities))
    [read], notes = exported(tmp_path_factory.mktemp("trip"), [post], "conll", "a.conll")
    assert read.tokens == post.tokens
    assert ("it holds all" in notes[0]) == ("\t" not in text)
    if "\t" not in text:
        assert (read.text, read.entities) == (post.text, post.entities)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_coco_holds_mentions_with_boxes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    first = Example(id="p0", text="Anna", images=("p0.png",), entities=())
    examples = [first, data.draw(posts(1))]
    read, notes = exported(tmp_path_factory.mktemp("trip"), examples, "coco", "a.json")
    kept = [post for post in examples if post.images]
    assert [(post.id, post.text, post.images) for post in read] == [(p.id, p.text, p.images) for p in kept]
    assert [list(post.gold) for post in read] == [[e for e in post.gold if e.boxes] for post in kept]
    lost = sum(not entity.boxes for post in kept for entity in post.gold)
    assert (f"{lost} mentions" in notes[0]) == (lost > 0)
    assert (": 1 posts" in notes[0]) == (len(kept) < 2)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    return exit_code(monkeypatch, "convert", *arguments)


@pytest.fixture
def pictured(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    rows = []
    for number, text in enumerate(("Anna left", "Bob stayed", "Anna met Bob")):
        Image.new("L", (WIDTH, HEIGHT)).save(folder / f"{number}.png")
        entities = [{"start": 0, "end": len(text.split()[0]), "text": text.split()[0], "label": "PER",
                     "boxes": [{"image": 0, "box": [1, 2, 30, 40]}]}]  # fmt: skip
        rows.append({"id": str(number), "text": text, "images": [f"{number}.png"], "entities": entities})
    for split, part in (("train", rows[:2]), ("test", rows[2:])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return folder


def test_voc_is_read_as_gmner(tmp_path: Path, pictured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, pictured, tmp_path / "voc", "--to", "voc") == 0
    before = load(str(pictured))
    after = load(str(tmp_path / "voc"), images=pictured)
    assert list(after) == ["train", "test"]
    for split, dataset in before.items():
        assert [post.model_copy(update={"tokens": None}) for post in after[split].examples] == list(dataset.examples)
    assert run(monkeypatch, pictured, tmp_path / "voc", "--to", "voc") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "voc"]


def test_boxes_that_voc_gives_to_mentions_are_counted(tmp_path: Path) -> None:
    seen, unseen, unasked = (
        Entity(start=start, end=start + 3, text=text, label="PER", boxes=boxes)
        for start, text, boxes in ((0, "Ann", (Box(box=(1, 1, 20, 20)),)), (4, "Ann", ()), (8, "Bob", None))
    )
    post = Example(id="0", text="Ann Ann Bob", images=("0.png",), entities=(seen, unseen, unasked))
    Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "0.png")
    splits = {"train": ExportedPosts("a/train", (post,), {"0.png": tmp_path / "0.png"})}
    [(_, _, [note])] = write_splits(splits, tmp_path / "voc", BY_NAME["voc"])
    assert "boxes of 1 mentions that were not annotated (read as not visible)" in note
    assert "boxes of 1 mentions that had none (read with those of another mention)" in note


def test_voc_needs_a_picture_for_each_post(tmp_path: Path) -> None:
    posts_without = ExportedPosts("a/train", (Example(id="1", text="a", entities=()),), {})
    with pytest.raises(DataError, match="Pascal VOC needs one picture for each post"):
        list(write_splits({"train": posts_without}, tmp_path / "voc", BY_NAME["voc"]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "reason"), [("coco", "holds pictures with"), ("sharegpt", "holds annotated posts")])
def test_a_format_that_holds_none_of_the_posts_is_told_as_that(name: str, reason: str, tmp_path: Path) -> None:
    posts_of_text = ExportedPosts("a/train", (Example(id="1", text="a"),), {})
    with pytest.raises(DataError, match=f"^a/train: .* {reason}.* none of these .*choose another format$"):
        list(write_splits({"train": posts_of_text}, tmp_path / "a.json", BY_NAME[name]))  # type: ignore[index]
    assert not list(tmp_path.iterdir())


def test_instructions_name_the_types_of_all_splits(tmp_path: Path) -> None:
    splits = {
        name: ExportedPosts(f"a/{name}", (Example(id="1", text="Anna", entities=(entity,)),), {})
        for name, label in (("train", "PER"), ("dev", "LOC"))
        for entity in (Entity(start=0, end=4, text="Anna", label=label),)
    }
    for _, path, _ in write_splits(splits, tmp_path / "all", BY_NAME["sharegpt"]):
        assert "with their types: LOC, PER." in path.read_text()
    [(_, path, _)] = write_splits(splits, tmp_path / "dev.json", BY_NAME["sharegpt"], "dev")
    assert "with their types: LOC, PER." in path.read_text()


def test_splits_get_a_file_each(
    tmp_path: Path, pictured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, pictured, tmp_path / "out", "--to", "csv") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["test.csv", "train.csv"]
    assert "train.csv: read back, it holds all of the posts" in capsys.readouterr().err
    assert '"../set/0.png"' in (tmp_path / "out" / "train.csv").read_text().replace('""', '"')


def test_a_folder_may_have_a_point_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.set").mkdir()
    for name in ("a.set", "twitter.2017", "v1.2b", "out"):
        assert choose_target(tmp_path / name, None).name == "jsonl"


@pytest.mark.parametrize(
    ("out", "to", "reason"),
    [
        ("a.json", None, r"\.json is the suffix of several formats; choose with --to label-studio"),
        ("a.jsonl", "csv", r"--to csv does not write \.jsonl; call it .*a\.csv"),
        ("a.json", "voc", r"--to voc does not write \.json; name a folder"),
        ("a.tsv", None, r"\.tsv is the suffix of no format that is written; name a file \.jsonl, .* or a folder"),
        ("a.xml", "voc", r"\.xml is the suffix of no format"),
    ],
)
def test_a_suffix_that_does_not_fit_is_refused(out: str, to: str | None, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        choose_target(Path(out), to)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("out", "to", "name"),
    [
        ("a.jsonl", None, "jsonl"),
        ("a.conll", None, "conll"),
        ("a.CSV", None, "csv"),
        ("a.parquet", None, "parquet"),
        ("folder", None, "jsonl"),
        ("folder", "coco", "coco"),
        ("a.jsonl", "doccano", "doccano"),
        ("a.json", "coco", "coco"),
    ],
)
def test_the_suffix_tells_the_format(out: str, to: str | None, name: str) -> None:
    assert choose_target(Path(out), to).name == name  # type: ignore[arg-type]


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "7.png")
    entity = PredictedEntity(start=0, end=4, text="Anna", label="PER", score=0.25, boxes=(Box(box=(10, 20, 60, 80)),))
    path = tmp_path / "pred.jsonl"
    path.write_text(
        Prediction(id="1", text="Anna left", images=("7.png",), entities=(entity,)).model_dump_json() + "\n"
    )
    return path


def test_predictions_become_pre_annotations(tmp_path: Path, predictions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, predictions, tmp_path / "a.json", "--to", "label-studio") == 0
    [task] = json.loads((tmp_path / "a.json").read_text())
    assert task["data"] == {"text": "Anna left", "post_id": "1", "image": "7.png"}
    [made] = task["predictions"]
    span, rectangle, relation = made["result"]
    assert (made["score"], span["score"], span["value"]["labels"]) == (0.25, 0.25, ["PER"])
    assert rectangle["value"] | {"x": 5.0, "y": 20.0, "width": 25.0, "height": 60.0} == rectangle["value"]
    assert (relation["from_id"], relation["to_id"]) == (span["id"], rectangle["id"])
    assert "annotations" not in task


def test_the_score_of_a_task_is_the_certainty_of_its_post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sure, unsure = (
        PredictedEntity(start=start, end=start + 3, text="Ann", label="PER", score=score)
        for start, score in ((0, 0.9), (4, 0.3))
    )
    rows = [
        Prediction(id="two", text="Ann Ann", entities=(sure, unsure)),
        Prediction(id="none", text="Ann Ann"),
        Prediction(id="broken", text="Ann Ann", entities=(sure,), rejected=Rejected(malformed=1)),
    ]
    path = tmp_path / "pred.jsonl"
    path.write_text("".join(f"{each.model_dump_json()}\n" for each in rows))
    assert run(monkeypatch, path, tmp_path / "a.json", "--to", "label-studio") == 0
    tasks = json.loads((tmp_path / "a.json").read_text())
    scores = {each["id"]: each["predictions"][0]["score"] for each in tasks}
    assert scores == {"two": 0.3, "none": 1.0, "broken": 0.0}


def test_scores_that_a_format_cannot_hold_are_counted(
    tmp_path: Path, predictions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, predictions, tmp_path / "a.conll") == 0
    said = capsys.readouterr().err
    assert "CoNLL holds no confidences; those of 1 mentions are left out" in said
    assert "boxes of 1 mentions" in said
    for name in ("a.csv", "a.parquet", "b.jsonl"):
        assert run(monkeypatch, predictions, tmp_path / name) == 0
    assert json.loads((tmp_path / "b.jsonl").read_text())["entities"][0]["score"] == 0.25


def test_rejected_items_that_a_format_cannot_hold_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rejected.jsonl"
    row = {"id": "1", "text": "Anna left", "entities": [], "rejected": {"malformed": 2}, "windows": 3}
    path.write_text(json.dumps(row) + "\n")
    assert run(monkeypatch, path, tmp_path / "a.conll") == 0
    said = capsys.readouterr().err
    assert "CoNLL holds no rejected items; those of 1 posts are left out, so that scores from it are higher" in said
    assert "CoNLL holds no number of windows; those of 1 posts are left out" in said
    for name in ("csv", "parquet"):
        assert run(monkeypatch, path, tmp_path / f"a.{name}") == 0
        said = capsys.readouterr().err
        assert "rejected items" not in said
        assert ("no number of windows" in said) == (name == "csv")
    for name in ("label-studio", "argilla"):
        assert run(monkeypatch, path, tmp_path / f"{name}.json", "--to", name) == 0
        assert "holds no rejected items; those of 1 posts are left out" in capsys.readouterr().err


def test_what_pictures_with_boxes_do_not_hold_of_predictions_is_counted(
    tmp_path: Path, predictions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {**json.loads(predictions.read_text()), "rejected": {"malformed": 2}}
    predictions.write_text(json.dumps(row) + "\n")
    assert run(monkeypatch, predictions, tmp_path / "coco.json", "--to", "coco") == 0
    said = capsys.readouterr().err
    assert "COCO holds no rejected items; those of 1 posts" in said
    assert "confidences" not in said
    assert run(monkeypatch, predictions, tmp_path / "voc", "--to", "voc") == 0
    said = capsys.readouterr().err
    assert "Pascal VOC holds no rejected items; those of 1 posts" in said
    assert "Pascal VOC holds no confidences; those of 1 mentions are left out" in said
    assert f"and pred is none; name it as a file, {tmp_path}/voc/txt/pred.txt\n" in said
    [read] = load(str(tmp_path / "voc" / "txt" / "pred.txt"), images=tmp_path).values()
    assert [entity.boxes for entity in read.examples[0].gold] == [(Box(box=(10, 20, 60, 80)),)]


def test_what_is_lost_is_told_by_kind(tmp_path: Path) -> None:
    seen = Entity(start=0, end=4, text="Anna", label="PER", boxes=(Box(box=(1, 2, 3, 4)),))
    post = Example(id="1", text="Anna  left", images=("7.png",), entities=(seen,), tokens=("Anna", "left"))
    other = Example(id="2", text="Anna left", entities=(seen.model_copy(update={"boxes": None}),))
    assert losses([post], [other]) == [
        "texts of 1 posts", "boxes of 1 mentions", "pictures of 1 posts", "ids of 1 posts", "tokens of 1 posts",
    ]  # fmt: skip
    blank = Example(id="1", text="a")
    assert losses([blank], [blank.model_copy(update={"entities": ()})]) == ["marks of 1 posts as not annotated"]
    assert losses([blank], []) == ["1 posts"]
    invisible = Example(id="1", text="Anna", images=("7.png",), entities=(seen.model_copy(update={"boxes": ()}),))
    assert losses([invisible], [without_boxes(invisible)]) == ["marks of 1 mentions as not visible"]


def test_boxes_of_mentions_that_are_read_elsewhere_are_lost_too() -> None:
    first, second = (
        Entity(start=start, end=start + 4, text="Anna", label="PER", boxes=(Box(box=(start, 2, 9, 9)),))
        for start in (0, 5)
    )
    post = Example(id="1", text="Anna Anna", images=("7.png",), entities=(second,))
    moved = post.model_copy(update={"entities": (first.model_copy(update={"boxes": None}),)})
    assert losses([post], [moved]) == ["places of 1 mentions", "boxes of 1 mentions"]
    both = post.model_copy(update={"entities": (first, second)})
    assert losses([both], [post]) == ["1 mentions"]


def test_a_word_is_cut_where_an_entity_ends(tmp_path: Path) -> None:
    post = Example(id="1", text="Oslo's new", entities=(Entity(start=0, end=4, text="Oslo", label="LOC"),))
    read, notes = exported(tmp_path, [post], "conll", "a.conll")
    assert read[0].tokens == ("Oslo", "'s", "new")
    assert read[0].text == post.text
    assert "it holds all" in notes[0]


def test_predictions_need_no_text_of_their_entities(tmp_path: Path) -> None:
    entity = {"start": 0, "end": 4, "label": "PER", "score": 0.5}
    row = {"id": "1", "text": "Anna left", "entities": [entity], "rejected": {"malformed": 0}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "a.PARQUET")
    for name in ("a.jsonl", "a.PARQUET"):
        [read] = (read_predicted(str(tmp_path / name), None, tmp_path) or {}).values()
        [post] = read.posts
        assert [each.text for each in as_gold(post).gold] == ["Anna"]
    (tmp_path / "a.jsonl").write_text(json.dumps({**row, "text": "Bo"}))
    with pytest.raises(DataError, match=r"a\.jsonl:1: no prediction: entities\.0\.text: is needed"):
        read_predicted(str(tmp_path / "a.jsonl"), None, tmp_path)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("told_by", ["score", "rejected"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_any_row_may_tell_that_a_file_holds_predictions(first: int, told_by: str, name: str, tmp_path: Path) -> None:
    found = {"start": 0, "end": 4, "text": "Anna", "label": "PER", "score": 0.5}
    one: dict[str, Any] = {"id": "1", "text": "Anna", "entities": [found], "rejected": {"malformed": 1}}
    if told_by == "score":
        del one["rejected"]
    else:
        del found["score"]
    rows = [one, {"id": "2", "text": "no", "entities": []}]
    rows = rows[first:] + rows[:first]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parquet.write_table(pa.Table.from_pylist(sorted(rows, key=len)[::-1]), tmp_path / "a.parquet")
    [read] = (read_predicted(str(tmp_path / name), None, tmp_path) or {}).values()
    assert {type(post) for post in read.posts} == {Prediction}


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_predictions_with_ends_of_their_last_characters_are_refused(name: str, tmp_path: Path) -> None:
    row = {"id": "1", "text": "Anna left", "entities": [{"start": 0, "end": 3, "label": "PER", "score": 0.5}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="1 of 1 mentions without a text cut a word by its last character"):
        read_predicted(str(tmp_path / name), None, tmp_path)


def test_other_files_are_no_predictions(tmp_path: Path, pictured: Path) -> None:
    assert read_predicted(str(pictured / "train.jsonl"), None, tmp_path) is None
    [dataset] = load(str(pictured / "train.jsonl")).values()
    named = of_dataset(dataset, tmp_path)
    assert named.posts[0].images == ("set/0.png",)
    assert named.size("set/0.png") == (WIDTH, HEIGHT)
    assert as_gold(named.posts[0]) is named.posts[0]


def test_the_post_whose_mention_a_format_changes_is_named(tmp_path: Path) -> None:
    text = "in Berlin\tMitte"
    entity = Entity(start=3, end=15, text=text[3:], label="LOC")
    examples = [Example(id="1", text="Anna", entities=()), Example(id="2", text=text, entities=(entity,))]
    with pytest.raises(DataError) as error:
        exported(tmp_path, examples, "conll", "a.conll")
    first = r"the first in post '2': 'Berlin Mitte' (LOC), which is 'Berlin\tMitte' in the post; mend"
    assert first in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_gets_full_while_a_file_is_read_back_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, out: Path, options: object) -> None:
        with replacing(out):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(readback, "import_file", full)
    with pytest.raises(DataError) as error:
        exported(tmp_path, [Example(id="1", text="Anna", entities=())], "csv", "a.csv")
    assert str(error.value).startswith(f"{tmp_path}/a.csv: cannot be written: No space left on device; make room")
    assert list(tmp_path.iterdir()) == []
