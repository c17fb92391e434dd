"""Every format that is imported: the same two posts out of each, through the command line."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from instruct_mner.cli import main
from instruct_mner.cli.import_ import run
from instruct_mner.data.importing.excel_cells import ERRORS
from instruct_mner.data.importing.roles import NOTHING as FOR_NOTHING
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError

ANNA, NOTHING = "Anna Bell flew to Oslo", "nothing to see here"
TOKENS = ANNA.split()
ENTITIES = [{"start": 0, "end": 9, "label": "PER"}, {"start": 18, "end": 22, "label": "LOC"}]
GOLD = [(ANNA, [(0, 9, "PER"), (18, 22, "LOC")]), (NOTHING, [])]
COLUMNS = "Anna B-PER|Bell I-PER|flew O|to O|Oslo B-LOC||nothing O|to O|see O|here O|"


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(*rows: list[Any], delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


def spans(pairs: list[tuple[int, int]]) -> list[dict[str, Any]]:
    return [{"start": a, "end": b, "type": kind} for (a, b), kind in zip(pairs, ("PER", "LOC"), strict=True)]


def study(text: str, *results: dict[str, Any]) -> dict[str, Any]:
    return {"id": text[:2], "data": {"text": text}, "annotations": [{"result": list(results)}]}


def label(start: int, end: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "labels", "value": {"start": start, "end": end, "text": ANNA[start:end], "labels": [kind]}, **more}


def universal(text: str, **surfaces: list[str]) -> dict[str, Any]:
    turns = [("human", f"Text: {text}"), ("gpt", "I've read this text.")]
    for kind, found in surfaces.items():
        turns += [("human", f"What describes {kind} in the text?"), ("gpt", json.dumps(found))]
    return {"conversations": [{"from": who, "value": message} for who, message in turns]}


NAMED = [{"text": "Anna Bell", "label": "PER"}, {"text": "Oslo", "label": "LOC"}]
TRIPLES = [(0, 9, "PER"), (18, 22, "LOC")]
FORMATS: dict[str, tuple[str, str]] = {
    "jsonl": (
        "a.jsonl",
        lines({"id": 1, "text": ANNA, "entities": ENTITIES}, {"id": 2, "text": NOTHING, "entities": []}),
    ),
    "json-list": (
        "a.json",
        json.dumps([{"text": ANNA, "entities": ENTITIES}, {"text": NOTHING, "entities": []}], indent=2),
    ),
    "json-wrapped": (
        "a.json",
        json.dumps({"data": [{"text": ANNA, "spans": ENTITIES}, {"text": NOTHING, "spans": []}]}),
    ),
    "other-columns": (
        "a.jsonl",
        lines({"sentence": ANNA, "mentions": ENTITIES}, {"sentence": NOTHING, "mentions": []}),
    ),
    "csv": ("a.csv", table(["text", "entities"], [ANNA, json.dumps(ENTITIES)], [NOTHING, "[]"])),
    "csv-semicolon": ("a.csv", table(["text", "entities"], [ANNA, str(ENTITIES)], [NOTHING, "[]"], delimiter=";")),
    "tsv": ("a.tsv", table(["text", "entities"], [ANNA, json.dumps(ENTITIES)], [NOTHING, "[]"], delimiter="\t")),
    "csv-of-tokens": (
        "a.csv",
        table(
            ["Sentence #", "Word", "Tag"],
            *(
                [f"s{post}" if not number else "", *row.split(" ")]
                for post, rows in enumerate(COLUMNS.strip("|").split("||"))
                for number, row in enumerate(rows.split("|"))
            ),
        ),
    ),
    "csv-of-lists": (
        "a.csv",
        table(
            ["tokens", "ner_tags"],
            [str(TOKENS), str(["B-PER", "I-PER", "O", "O", "B-LOC"])],
            [json.dumps(NOTHING.split()), json.dumps(["O"] * 4)],
        ),
    ),
    "tokens-and-tags": (
        "a.jsonl",
        lines(
            {"tokens": TOKENS, "ner_tags": ["B-PER", "E-PER", "O", "O", "S-LOC"]},
            {"tokens": NOTHING.split(), "ner_tags": ["O"] * 4},
        ),
    ),
    "conll": ("a.txt", COLUMNS.replace(" ", "\t").replace("|", "\n")),
    "conll-spaces": ("a.conll", COLUMNS.replace("|", "\n")),
    "conll-2003": ("a.bio", "-DOCSTART- -X- -X- O\n\n" + COLUMNS.replace(" ", " NN B-NP ").replace("|", "\n")),
    "columns-without-a-name": ("posts", COLUMNS.replace(" ", "\t").replace("|", "\n")),
    "doccano": ("a.jsonl", lines({"id": 1, "text": ANNA, "label": TRIPLES}, {"id": 2, "text": NOTHING, "label": []})),
    "doccano-relations": (
        "a.jsonl",
        lines(
            {
                "text": ANNA,
                "entities": [
                    {"id": n, "label": kind, "start_offset": a, "end_offset": b}
                    for n, (a, b, kind) in enumerate(TRIPLES)
                ],
                "relations": [],
                "Comments": [],
            },
            {"text": NOTHING, "entities": [], "relations": [], "Comments": []},
        ),
    ),
    "prodigy": (
        "a.jsonl",
        lines(
            {
                "text": ANNA,
                "spans": [{**each, "token_start": 0} for each in ENTITIES],
                "answer": "accept",
                "_task_hash": 1,
            },
            {"text": "no", "spans": [], "answer": "reject"},
            {"text": "no", "spans": [], "answer": "ignore"},
            {"text": NOTHING, "spans": [], "answer": "accept"},
        ),
    ),
    "spacy-tuples": ("a.json", json.dumps([[ANNA, {"entities": TRIPLES}], [NOTHING, {"entities": []}]])),
    "spacy-lines": ("a.jsonl", lines([ANNA, {"entities": TRIPLES}], [NOTHING, {"entities": []}])),
    "spacy-annotator": (
        "a.json",
        json.dumps({"classes": ["PER"], "annotations": [[ANNA, {"entities": TRIPLES}], [NOTHING, {"entities": []}]]}),
    ),
    "spacy-documents": ("a.jsonl", lines({"text": ANNA, "ents": ENTITIES}, {"text": NOTHING, "ents": []})),
    "label-studio": ("a.json", json.dumps([study(ANNA, label(0, 9, "PER"), label(18, 22, "LOC")), study(NOTHING)])),
    "label-studio-min": (
        "a.json",
        json.dumps(
            [
                {
                    "id": 1,
                    "text": ANNA,
                    "label": [{"start": a, "end": b, "text": ANNA[a:b], "labels": [k]} for a, b, k in TRIPLES],
                },
                {"id": 2, "text": NOTHING, "label": []},
            ]
        ),
    ),
    "spert": (
        "a.json",
        json.dumps(
            [
                {"tokens": TOKENS, "entities": spans([(0, 2), (4, 5)]), "relations": []},
                {"tokens": NOTHING.split(), "entities": [], "relations": []},
            ]
        ),
    ),
    "mqa": (
        "a.json",
        json.dumps(
            [{"tokens": TOKENS, "entities": spans([(0, 2), (4, 5)])}, {"tokens": NOTHING.split(), "entities": []}]
        ),
    ),
    "token-spans-inclusive": (
        "a.json",
        json.dumps(
            [{"tokens": TOKENS, "entities": spans([(0, 1), (4, 4)])}, {"tokens": NOTHING.split(), "entities": []}]
        ),
    ),
    "gliner": (
        "a.json",
        json.dumps(
            [
                {"tokenized_text": TOKENS, "ner": [[0, 1, "PER"], [4, 4, "LOC"]]},
                {"tokenized_text": NOTHING.split(), "ner": []},
            ]
        ),
    ),
    "instruct-uie": (
        "a.json",
        json.dumps(
            [
                {
                    "Task": "NER",
                    "Instance": {
                        "sentence": ANNA,
                        "labels": "PER: Anna Bell",
                        "entities": [{"name": ANNA[a:b], "type": kind, "pos": [a, b]} for a, b, kind in TRIPLES],
                    },
                },
                {"Task": "NER", "Instance": {"sentence": NOTHING, "labels": "", "entities": []}},
            ]
        ),
    ),
    "universal-ner": (
        "a.json",
        json.dumps([universal(ANNA, PER=["Anna Bell"], LOC=["Oslo"]), universal(NOTHING, PER=[])]),
    ),
    "alpaca": (
        "a.json",
        json.dumps(
            [
                {"instruction": "list", "input": ANNA, "output": json.dumps(NAMED)},
                {"instruction": "list", "input": NOTHING, "output": "[]"},
            ]
        ),
    ),
    "surfaces": ("a.jsonl", lines({"text": ANNA, "entities": NAMED}, {"text": NOTHING, "entities": []})),
    "surfaces-by-label": (
        "a.jsonl",
        lines({"text": ANNA, "entities": {"PER": ["Anna Bell"], "LOC": ["Oslo"]}}, {"text": NOTHING, "entities": {}}),
    ),
    "pipeline": (
        "a.jsonl",
        lines(
            {
                "text": ANNA,
                "entities": [
                    {"entity_group": kind, "word": ANNA[a:b], "score": 0.5, "start": a, "end": b}
                    for a, b, kind in TRIPLES
                ],
            },
            {"text": NOTHING, "entities": []},
        ),
    ),
}


def given_posts(path: Path) -> list[tuple[str, list[tuple[int, int, str]]]]:
    posts = load_split(str(path), missing_image="keep").examples
    return [(post.text, [(entity.start, entity.end, entity.label) for entity in post.gold]) for post in posts]


def imported(source: Path, tmp_path: Path, **options: Any) -> tuple[Path, list[str]]:
    out = tmp_path / "out" / "out.jsonl"
    result = import_file(str(source), out, ImportOptions(**options))
    return out, result.notes


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_posts_out_of_every_format(tmp_path: Path, name: str) -> None:
    file, content = FORMATS[name]
    (tmp_path / file).write_text(content)
    out, _ = imported(tmp_path / file, tmp_path)
    assert given_posts(out) == GOLD


def test_excel(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (
        ["id", "text", "image", "entities"],
        [1, ANNA, "7.png", json.dumps(ENTITIES)],
        [2, NOTHING, None, "[]"],
    ):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    out, notes = imported(tmp_path / "a.xlsx", tmp_path)
    assert given_posts(out) == GOLD
    assert "read images from 'image'" in notes[0]


def test_plain_text_is_not_annotated(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{ANNA}\n\n  {NOTHING}\n")
    out, notes = imported(tmp_path / "a.txt", tmp_path)
    posts = load_split(str(out)).examples
    assert [(post.text, post.entities) for post in posts] == [(ANNA, None), (NOTHING, None)]
    assert "one post a line" in notes[0]


@pytest.mark.parametrize("source", ["brat", "brat/1.txt", "brat/1.ann"])
def test_brat(tmp_path: Path, source: str) -> None:
    (tmp_path / "brat").mkdir()
    (tmp_path / "brat" / "1.txt").write_text(ANNA + "\n")
    (tmp_path / "brat" / "1.ann").write_text("T1\tPER 0 9\tAnna Bell\nR1\tx Arg1:T1 Arg2:T2\nT2\tLOC 18 22\tOslo\n")
    out, notes = imported(tmp_path / source, tmp_path)
    assert given_posts(out) == GOLD[:1]
    assert notes == ["annotations that are no entities are left out: 1 of R"]


def test_the_unit_of_offsets_that_the_first_rows_do_not_tell_can_be_said(tmp_path: Path) -> None:
    rows = [{"text": "Anna left", "entities": [{"start": 0, "end": 4, "text": "Anna", "label": "PER"}]}] * 2001
    late = {"text": "😀 Anna", "entities": [{"start": 3, "end": 7, "text": "Anna", "label": "PER"}]}
    (tmp_path / "a.jsonl").write_text(lines(*rows, late))
    with pytest.raises(DataError, match="it stands there where they are read as utf-16: --offsets utf-16"):
        import_file(str(tmp_path / "a.jsonl"), tmp_path / "out.jsonl", ImportOptions())
    import_file(str(tmp_path / "a.jsonl"), tmp_path / "out.jsonl", ImportOptions(offsets="utf-16"))
    assert given_posts(tmp_path / "out.jsonl")[-1] == ("😀 Anna", [(2, 6, "PER")])


def test_rejected_ones_of_prodigy_are_counted(tmp_path: Path) -> None:
    file, content = FORMATS["prodigy"]
    (tmp_path / file).write_text(content)
    _, notes = imported(tmp_path / file, tmp_path)
    assert any("left out: 1 row(s) with the answer 'ignore', 1 row(s) with the" in note for note in notes)


def test_addresses_of_pictures_are_shortened_with_a_word_and_never_to_one_name(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("text,image\nAda,https://e.org/p/x.png?size=large\nBob,b.png\n")
    out, notes = imported(table, tmp_path)
    assert [post.images for post in load_split(str(out), missing_image="keep").examples] == [("x.png",), ("b.png",)]
    kept = "the name of the file is kept ('https://e.org/p/x.png' is 'x.png'), and nothing is fetched"
    assert f"{table}: 1 picture(s) are named by an address or a path of another machine: {kept}" in notes
    assert f"{table}: 2 of 2 pictures are not there; name their folder with --images DIR" in notes
    (tmp_path / "two.csv").write_text("text,image\nAda,https://e.org/a/1/x.png\nBob,https://e.org/b/2/x.png\n")
    with pytest.raises(
        DataError, match=r"pictures 'https://e.org/a/1/x.png' and 'https://e.org/b/2/x.png' would both be"
    ):
        imported(tmp_path / "two.csv", tmp_path / "two")


def test_rectangles_of_label_studio(tmp_path: Path) -> None:
    rectangle = {"type": "rectanglelabels", "original_width": 200, "original_height": 100,
                 "value": {"x": 5, "y": 20, "width": 25, "height": 60, "rectanglelabels": ["PER"]}}  # fmt: skip
    task = study(ANNA, label(0, 9, "PER"), label(18, 22, "LOC"), rectangle)
    task["data"]["image"] = "/data/upload/7-a.png?d=1"
    (tmp_path / "a.json").write_text(json.dumps([task]))
    out, _ = imported(tmp_path / "a.json", tmp_path)
    [post] = load_split(str(out), missing_image="keep").examples
    assert post.images == ("7-a.png",)
    assert [entity.boxes and entity.boxes[0].box for entity in post.gold] == [(10, 20, 60, 80), None]


def test_a_relation_says_whose_a_rectangle_is(tmp_path: Path) -> None:
    rectangle = {"id": "r", "type": "rectanglelabels", "original_width": 200, "original_height": 100,
                 "value": {"x": 5, "y": 20, "width": 25, "height": 60, "rectanglelabels": ["X"]}}  # fmt: skip
    spans = [label(0, 9, "X", id="a"), label(18, 22, "X", id="b")]
    for relation, boxes in (([], None), ([{"type": "relation", "from_id": "b", "to_id": "r"}], [0, 1])):
        task = study(ANNA, *spans, rectangle, *relation)
        task["data"]["image"] = "7.png"
        (tmp_path / "a.json").write_text(json.dumps([task]))
        if boxes is None:
            with pytest.raises(Exception, match="to which of 2 mentions a rectangle"):
                imported(tmp_path / "a.json", tmp_path)
            continue
        out, _ = imported(tmp_path / "a.json", tmp_path)
        [post] = load_split(str(out), missing_image="keep").examples
        assert [len(entity.boxes or ()) for entity in post.gold] == boxes


@pytest.mark.parametrize("unit", ["utf-16", "bytes"])
def test_offsets_of_other_units_are_told_by_surfaces(tmp_path: Path, unit: str) -> None:
    text = f"\U0001f600 é {ANNA}"
    width = {"utf-16": 3 + 2, "bytes": 5 + 3}[unit]
    entity = {"start": width, "end": width + 9, "text": "Anna Bell", "label": "PER"}
    (tmp_path / "a.json").write_text(json.dumps([{"text": text, "entities": [entity]}]))
    out, notes = imported(tmp_path / "a.json", tmp_path)
    [post] = load_split(str(out)).examples
    assert post.gold[0].text == "Anna Bell"
    assert any(f"read as {unit}" in note for note in notes)


def test_conversations_say_where_the_text_stands(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": f"<image>Types: PER. Post: {ANNA}"},
                {"role": "assistant", "content": json.dumps(NAMED)}]  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps([{"messages": messages, "images": ["7.jpg"]}]))
    with pytest.raises(Exception, match="say what stands before the text of the post: --text-after"):
        imported(tmp_path / "a.json", tmp_path)
    out, _ = imported(tmp_path / "a.json", tmp_path, text_after="Post: ")
    assert given_posts(out) == GOLD[:1]


def test_numbers_get_names(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines({"tokens": TOKENS, "ner_tags": [1, 2, 0, 0, 3]}))
    with pytest.raises(Exception, match=r"number without a name.*--label-names"):
        imported(tmp_path / "a.jsonl", tmp_path)
    out, _ = imported(tmp_path / "a.jsonl", tmp_path, label_names=["O", "B-PER", "I-PER", "B-LOC"])
    assert given_posts(out) == GOLD[:1]


def test_columns_are_chosen_and_carried(tmp_path: Path) -> None:
    row = {"tweet": ANNA, "content": "x", "lang": "en", "label": "positive", "marks": TRIPLES}
    (tmp_path / "a.jsonl").write_text(lines(row))
    with pytest.raises(Exception, match="may each hold its text"):
        imported(tmp_path / "a.jsonl", tmp_path)
    out, notes = imported(
        tmp_path / "a.jsonl", tmp_path, columns=["text=tweet", "entities=marks", "meta=label"], offsets="characters"
    )
    assert given_posts(out) == GOLD[:1]
    [post] = load_split(str(out)).examples
    assert post.meta == {"content": "x", "lang": "en", "label": "positive"}
    assert any("carried along in 'meta': content, lang, label" in note for note in notes)


def test_fields_of_entities_that_are_left_out_are_named(tmp_path: Path) -> None:
    file, content = FORMATS["pipeline"]
    (tmp_path / file).write_text(content)
    _, notes = imported(tmp_path / file, tmp_path)
    assert f"{tmp_path / file}: fields of entities that are left out: score" in notes


def test_pictures_are_found_and_named_from_the_written_file(tmp_path: Path) -> None:
    (tmp_path / "pics" / "sub").mkdir(parents=True)
    for name in ("7.JPG", "sub/8.webp"):
        (tmp_path / "pics" / name).touch()
    rows = [{"text": "a", "img_id": "7"}, {"text": "b", "img_id": "C:\\x\\sub\\8.webp"}, {"text": "c", "img_id": 9}]
    (tmp_path / "a.jsonl").write_text(lines(*rows))
    out, notes = imported(tmp_path / "a.jsonl", tmp_path, images=tmp_path / "pics")
    assert [post.images for post in load_split(str(out), missing_image="keep").examples] == [
        ("../pics/7.JPG",), ("../pics/sub/8.webp",), ("9",),
    ]  # fmt: skip
    assert any("1 of 3 pictures are not in" in note for note in notes)


@pytest.mark.parametrize(
    ("target", "files"), [("out", ["dev.jsonl", "test.jsonl", "train.jsonl"]), ("out.jsonl", ["out.jsonl"])]
)
def test_splits_of_a_folder(tmp_path: Path, target: str, files: list[str]) -> None:
    (tmp_path / "set").mkdir()
    for name in ("train", "val", "test"):
        (tmp_path / "set" / f"{name}.txt").write_text("Anna\tB-PER\n")
    result = import_file(str(tmp_path / "set"), tmp_path / "o" / target, ImportOptions())
    written = sorted((tmp_path / "o").rglob("*.jsonl"))
    assert ([path.name for path in written], result.num_posts) == (files, 3)
    posts = [post for path in written for post in load_split(str(path)).examples]
    assert [post.text for post in posts] == ["Anna"] * 3
    if len(written) == 1:
        assert [(post.meta or {}).get("split") for post in posts] == ["train", "dev", "test"]
        assert len({post.id for post in posts}) == 3


def test_nothing_is_written_where_a_row_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines({"text": ANNA, "label": TRIPLES}) + "{not json\n" * 50)
    with pytest.raises(Exception, match=r"50 problem\(s\)(?s:.*)and 47 more of the same cause, 50 in all"):
        imported(tmp_path / "a.jsonl", tmp_path)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text(lines({"text": ANNA, "label": TRIPLES}))
    monkeypatch.setattr(
        sys, "argv", ["instruct-mner", "import", str(tmp_path / "a.jsonl"), "--column", "entities=label"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert not ended.value.code, said.err
    assert json.loads(said.out)["text"] == ANNA
    assert "1 posts with 2 entities written to standard output" in said.err
    assert run.__doc__


WORDS = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=5), min_size=1, max_size=6
)


def as_doccano(text: str, marks: list[tuple[int, int]]) -> Any:
    return {"text": text, "label": [[a, b, "X"] for a, b in marks]}


def as_surfaces(text: str, marks: list[tuple[int, int]]) -> Any:
    return {"text": text, "spans": [{"start": a, "end": b, "text": text[a:b], "label": "X"} for a, b in marks]}


def as_utf16(text: str, marks: list[tuple[int, int]]) -> Any:
    def units(offset: int) -> int:
        return len(text[:offset].encode("utf-16-le")) // 2

    return {"id": "1", "data": {"text": text}, "annotations": [{"result": [
        {"type": "labels", "value": {"start": units(a), "end": units(b), "text": text[a:b], "labels": ["X"]}}
        for a, b in marks]}]}  # fmt: skip


@given(WORDS, st.data(), st.sampled_from([as_doccano, as_surfaces, as_utf16]))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    words: list[str],
    data: st.DataObject,
    write: Callable[[str, list[tuple[int, int]]], Any],
) -> None:
    marks, start = [], 0
    for word in words:
        if data.draw(st.booleans()):
            marks.append((start, start + len(word)))
        start += len(word) + 1
    # Beyond ASCII the unit of offsets must be told by something: the same letter at another place tells nothing.
    letters = "".join(words)
    assume(letters.isascii() or len(set(letters)) == len(letters))
    # Words that programs write for nothing are refused as a text; Hypothesis draws them from the code.
    assume(len(words) > 1 or words[0] not in FOR_NOTHING | ERRORS)
    folder = tmp_path_factory.mktemp("trip")
    (folder / "a.json").write_text(json.dumps([write(" ".join(words), marks)]))
    out, _ = imported(folder / "a.json", folder)
    [(text, spans)] = given_posts(out)
    assert (text, spans) == (" ".join(words), [(a, b, "X") for a, b in marks])


def test_several_sentences_under_one_id(tmp_path: Path) -> None:
    content = "IMGID:7\nAnna\tB-PER\n\nBob\tB-PER\n\nleft\tO\n\nIMGID:8.jpg\nEve\tB-PER\n\nstayed\tO\n"
    (tmp_path / "a.txt").write_text(content)
    out, notes = imported(tmp_path / "a.txt", tmp_path)
    posts = load_split(str(out), missing_image="keep").examples
    assert [(post.id, post.text, post.images) for post in posts] == [
        ("7", "Anna", ("7",)),
        ("7-2", "Bob", ("7",)),
        ("7-3", "left", ("7",)),
        ("8", "Eve", ("8.jpg",)),
        ("8-2", "stayed", ("8.jpg",)),
    ]
    assert any("3 sentences stand under the id of another, the first in line 4" in note for note in notes)
    with pytest.raises(Exception, match="a post begins without an 'IMGID:<id>' line"):  # nobody said so
        load_split(str(tmp_path / "a.txt"), missing_image="keep")
