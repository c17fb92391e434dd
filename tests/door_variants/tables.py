"""Columns under other names, tables, JSON of tools, splits, boxes and stand-off annotations."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import openpyxl
from PIL import Image

from door_variants import ANNA, ENTITIES, TAGS, TOKENS, Content, Gold, Variant, entity, rows

_GOLD: Gold = [(ANNA, list(ENTITIES))]
_ALONE: Gold = [(ANNA, None)]
_SPANS = [entity(*each) for each in ENTITIES]
_POST = "IMGID:7\nAnna\tB-PER\nleft\tO\n"
_POST_8 = "IMGID:8\nOslo\tB-LOC\nleft\tO\n"
_FIRST: Gold = [("Anna left", [(0, 4, "PER")])]
_BOTH: Gold = [*_FIRST, ("Oslo left", [(0, 4, "LOC")])]


def table(*lines: Sequence[object], delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(lines)
    return text.getvalue()


def _column(name: str, value: object, kind: str | None) -> Variant:
    refused = None if kind is None else f"column '{name}' looks like {kind}"
    right, note = (None, None) if kind else (_ALONE, f"carried along in 'meta': {name}")
    return Variant(kind="columns by name or value", name=name, content=rows({"text": ANNA, name: value}),
                   refused=refused, right=right, note=note)  # fmt: skip


def _read(kind: str, file: str, name: str, content: Content, right: Gold, note: str | None = None) -> Variant:
    return Variant(kind=kind, name=name, file=file, content=content, right=right, note=note)


def _refused(kind: str, file: str, name: str, content: Content, word: str) -> Variant:
    return Variant(kind=kind, name=name, file=file, content=content, refused=word)


_PICTURES = ("attachment", "thumbnail", "figure", "visual", "photo_name", "图片", "imagen", "bild", "avatar")
_BOXES = ("bbox", "polygon", "xyxy", "coords", "roi", "location_box", "rectangle", "boundingBox", "kasten")
_LABELS = ("gold", "标签", "iob", "bioes_tags", "y")
_SPAN_NAMES = ("target", "answer_spans", "annotation", "named_entities", "truth")
COLUMNS = (
    *(_column(name, "7.jpg", "a picture") for name in _PICTURES),
    _column("url", "http://x/7.jpg?size=1", "a picture"),
    _column("media_url_https", "http://x/7.jpg", "a picture"),
    _column("media", ["7.jpg"], "a picture"),
    _column("frame", {"path": "7.jpg", "bytes": None}, "a picture"),
    *(_column(name, [1, 2, 3, 4], "a box") for name in _BOXES),
    _column("detections", [{"xmin": 1, "ymin": 2}], "a box"),
    *(_column(name, TAGS, "labels") for name in _LABELS),
    *(_column(name, _SPANS, "labels") for name in _SPAN_NAMES),
    _column("ne", [[0, 9, "PER"]], "labels"),
    *(_column(name, "x9", "an id") for name in ("uuid", "TweetID", "status_id", "identifier")),
    *(_column(name, "x9", None) for name in ("key", "source", "lang")),
    _column("upos", [["NOUN", "VERB"]], None),
    _column("types", ["PER", "LOC"], None),
    _refused("columns twice", "a.jsonl", "entities-and-Entities",
             rows({"text": ANNA, "entities": [], "Entities": _SPANS}), "'Entities' looks like labels"),
    _read("columns twice", "a.jsonl", "text-and-Text", rows({"text": ANNA, "Text": "other"}), _ALONE, "meta': Text"),
    _refused("columns twice", "a.jsonl", "tags-and-entities",
             rows({"tokens": TOKENS, "ner_tags": TAGS, "entities": [entity(0, 2, "PER")]}), "both tags"),
    _refused("columns twice", "a.jsonl", "labels-and-entities", rows({"text": ANNA, "entities": [], "labels": [[0, 4, "X"]]}),
             "'labels' looks like labels"),
    _refused("columns twice", "a.jsonl", "key-in-entity",
             '{"text": "Anna", "entities": [{"start": 0, "start": 1, "end": 4, "label": "X"}]}\n', "given twice"),
    _refused("columns twice", "a.jsonl", "key-in-meta", '{"text": "a", "meta": {"x": 1, "x": 2}}\n', "given twice"),
    _refused("columns twice", "a.json", "key-in-json", '[{"text": "a", "text": "b"}]', "given twice"),
    _refused("columns twice", "a.csv", "header", "id,text,text\n1,a,b\n", "given twice"),
)  # fmt: skip


def _cell(role: str, value: str, *, word: str | None = None, pictures: tuple[str, ...] | None = None) -> Variant:
    name = {"picture": "image", "text": "text", "id": "id"}[role]
    others = [other for other in ("id", "text") if other != name]
    fill = {"id": "1", "text": ANNA}
    content = table([name, *others], [value, *(fill[other] for other in others)], ["9.jpg", *("x" for _ in others)])
    text = value if role == "text" else ANNA
    second = "9.jpg" if role == "text" else "x"
    return Variant(kind="null and rounded values", name=f"{role} {value}", file="a.csv", content=content, refused=word,
                   right=None if word else [(text, None), (second, None)], pictures=pictures)  # fmt: skip


_NOTHING = "which programs write for nothing"
CELLS = (
    *(_cell("picture", value, word=_NOTHING) for value in ("nan", "NaN", "None", "null", "NULL", "<NA>", "N/A", "-")),
    _cell("picture", "7.jpg;8.jpg", word="several pictures in one string"),
    _cell("picture", "7.jpg 8.jpg", word="several pictures in one string"),
    _cell("picture", "7.jpg,8.jpg", word="several pictures in one string"),
    _cell("picture", "7.jpg|8.jpg", word="several pictures in one string"),
    _cell("picture", "7.jpg\n8.jpg", word="several pictures in one string"),
    _cell("picture", "['7.jpg', '8.jpg']", pictures=("7.jpg", "8.jpg")),
    _cell("picture", "['7.jpg' '8.jpg']", pictures=("7.jpg", "8.jpg")),
    _cell("picture", "my photo.jpg", pictures=("my photo.jpg",)),
    _cell("picture", "http://x/7.jpg?y=1", pictures=("7.jpg",)),
    _cell("picture", "C:\\a\\7.jpg", pictures=("7.jpg",)),
    _cell("picture", "7.0", pictures=("7",)),
    _cell("picture", "", pictures=()),
    *(_cell("text", value, word=_NOTHING) for value in ("nan", "None", "null", "<NA>")),
    _cell("text", "", word="the row has no text"),
    _cell("text", "N/A"),
    *(_cell("id", value, word="whose last digits are lost") for value in ("9.12E+17", "9,12345678901234E+17")),
    _cell("id", "nan", word=_NOTHING),
    _cell("id", "007"),
    _refused("null and rounded values", "a.jsonl", "id float", '{"tweet_id": 912345678901234567.0, "text": "a"}\n', "digits"),
    _read("null and rounded values", "a.jsonl", "id whole float", '{"id": 7.0, "text": "a"}\n', [("a", None)]),
    _refused("null and rounded values", "a.jsonl", "id true", '{"id": true, "text": "a"}\n', "is no text and no whole number"),
    _refused("null and rounded values", "a.jsonl", "ids 1 and '1'", '{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}\n', "already"),
    *(_refused("null and rounded values", "a.csv", f"entities {value}", table(["text", "entities"], [ANNA, value]), "write for nothing")
      for value in ("nan", "None", "null", "N/A", "-")),
    *(_refused("null and rounded values", "a.csv", f"entities {value}", table(["text", "entities"], [ANNA, value]), "is no list of entities")
      for value in ("O", "False")),
)  # fmt: skip


def _book(sheets: Mapping[str, Sequence[Sequence[object]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, lines in sheets.items():
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(line)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _task(*results: Mapping[str, object], **more: object) -> str:
    return json.dumps(
        [{"id": 5, "data": {"text": ANNA}, "annotations": [{"result": list(results)}] if results else [], **more}]
    )


_LABEL = {"type": "labels", "value": {"start": 0, "end": 9, "text": "Anna Bell", "labels": ["PER"]}}
_PER: Gold = [(ANNA, [(0, 9, "PER")])]
_CRLF = 'text,entities\r\n"Anna\r\nBell in Oslo","[{{""start"":{},""end"":{},""label"":""LOC""}}]"\r\n'
TABLES = (
    _read("tables", "a.csv", "crlf-counted", _CRLF.format(14, 18), [("Anna\r\nBell in Oslo", [(14, 18, "LOC")])]),
    _read("tables", "a.csv", "crlf-cell", _CRLF.format(13, 17), [("Anna\nBell in Oslo", [(13, 17, "LOC")])]),
    _read("tables", "a.csv", "line-separator", "text\nAnna\u2028Bell\nsee\n", [("Anna\u2028Bell", None), ("see", None)]),
    _read("tables", "a.csv", "next-line", "text\nAnna\u0085Bell\nsee\n", [("Anna\u0085Bell", None), ("see", None)]),
    _read("tables", "a.csv", "form-feed", "text\nAnna\fBell\nsee\n", [("Anna\fBell", None), ("see", None)]),
    _refused("tables", "a.csv", "returns", "text\rAnna\rsee\r", "carriage return alone"),
    _refused("tables", "a.csv", "utf-16", "text\nAnna\n".encode("utf-16"), "UTF-16"),
    _read("tables", "a.csv", "byte-order-mark", "\ufefftext\nAnna\n", [("Anna", None)]),
    _refused("tables", "a.csv", "separator-line", "sep=;\ntext;id\nAnna;1\n", "mark for Excel"),
    _refused("tables", "a.csv", "no-header", table([ANNA, "[]"], ["see", "[]"]), "no column is known"),
    _read("tables", "a.tsv", "open-quote", 'text\tid\n"Anna\t1\n', [('"Anna', None)], "quotes are read as characters"),
    _read("tables", "a.csv", "numpy", table(["tokens", "ner_tags"], ["['Anna' 'Bell']", "['B-PER' 'I-PER']"]),
          [("Anna Bell", [(0, 9, "PER")])]),
    _read("tables", "a.csv", "numpy-lines", table(["tokens", "ner_tags"], ["['Anna'\n 'Bell']", "['B-PER'\n 'I-PER']"]),
          [("Anna Bell", [(0, 9, "PER")])]),
    _refused("tables", "a.csv", "numpy-numbers", table(["tokens", "ner_tags"], ["['Anna' 'Bell']", "[1 2]"]), "labels"),
    _refused("tables", "a.csv", "string-tokens", table(["tokens", "ner_tags"], [ANNA, " ".join(TAGS)]), "holds a string"),
    _read("tables", "a.csv", "string-tags", table(["text", "labels"], [ANNA, " ".join(TAGS)]), _GOLD),
    _refused("tables", "a.jsonl", "empty-token", rows({"tokens": ["Anna", ""], "ner_tags": ["O", "O"]}), "token 2 is empty"),
    _refused("tables", "a.jsonl", "null-token", rows({"tokens": ["Anna", None], "ner_tags": ["O", "O"]}), "no list of strings"),
    _refused("tables", "a.jsonl", "nested-tokens", rows({"tokens": [["Anna"]], "ner_tags": [["O"]]}), "holds a string|list"),
    _refused("tables", "a.jsonl", "minus-100", rows({"tokens": ["Anna"], "ner_tags": [-100]}), "number without a name"),
    _refused("tables", "a.jsonl", "fewer-tags", rows({"tokens": TOKENS, "ner_tags": TAGS[:3]}), "5 tokens and 3 tags"),
    _refused("tables", "a.jsonl", "lower-tokens", rows({"text": "Anna", "tokens": ["anna"], "ner_tags": ["B-PER"]}), "outside"),
    _refused("tables", "a.jsonl", "pieces", rows({"tokens": ["An", "##na"], "ner_tags": ["B-PER", "I-PER"]}), "vocabulary"),
    _refused("tables", "a.xlsx", "sheets", _book({"train": [["text"], ["Anna"]], "test": [["text"], ["Oslo"]]}), "several sheets"),
    _read("tables", "a.xlsx", "empty-sheet", _book({"train": [["text"], ["Anna"]], "Sheet2": []}), [("Anna", None)]),
    _refused("tables", "a.xlsx", "cell-behind", _book({"a": [["text"], ["Anna", "more"]]}), "column without a name"),
    _refused("tables", "a.xlsx", "nameless", _book({"a": [["text", None, "id"], ["Anna", "more", "3"]]}), "without a name"),
    _refused("tables", "a.xlsx", "long-number", _book({"a": [["id", "text"], [912345678901234567, "Anna"]]}), "digits"),
    _refused("json", "a.json", "two-lists", '{"train": [{"text": "a"}], "test": [{"text": "b"}]}', "holds splits"),
    _read("json", "a.json", "names-beside", json.dumps({"data": [{"text": "a"}], "label_names": ["PER"]}),
          [("a", None)], "left out beside the posts: label_names"),
    _refused("json", "a.json", "by-id", '{"1": {"text": "a"}, "2": {"text": "b"}}', "no column is known"),
    _refused("json", "a.json", "by-column", '{"text": ["a", "b"]}', "no column is known"),
    _refused("json", "a.json", "coco", '{"images": [{"id": 1}], "annotations": [{"bbox": [1, 2, 3, 4]}]}', "no column|looks"),
    _read("json", "a.json", "not-a-number", '[{"text": "a", "entities": NaN}]', [("a", None)], "1 posts are not annotated"),
    _refused("json", "a.jsonl", "half-a-pair", '{"id": "1", "text": "a\\ud83d"}\n', "half of a surrogate pair"),
    _read("json", "a.json", "label-studio-choices", _task(_LABEL, {"type": "choices", "value": {}}), _PER, "type choices"),
    _read("json", "a.json", "label-studio-text", _task(_LABEL, {"type": "textarea", "value": {}}), _PER, "type textarea"),
    _read("json", "a.json", "label-studio-predictions", _task(predictions=[{"result": [_LABEL]}]), _ALONE, "predictions of a model"),
    _read("json", "a.jsonl", "prodigy-ignored", rows({"text": ANNA, "spans": [], "answer": "ignore"},
          {"text": ANNA, "spans": [], "answer": "accept"}), [(ANNA, [])], "answer 'ignore'"),
    _read("json", "a.jsonl", "prodigy-picture", rows({"text": ANNA, "spans": [], "answer": "accept", "image": "data:x"}),
          [(ANNA, [])], "bytes stand in the row"),
    _refused("json", "a.json", "spacy-link", json.dumps([[ANNA, {"entities": [[0, 9, "PER", "Q1"]]}]]), "fit neither"),
    _read("json", "a.json", "gliner", json.dumps([{"tokenized_text": TOKENS, "ner": [[0, 1, "PER"], [4, 4, "LOC"]]}]), _GOLD,
          "tokens-inclusive"),
)  # fmt: skip


def _split(name: str, files: Mapping[str, str | bytes], *, right: Gold | None = _FIRST, note: str | None = None,
           word: str | None = None) -> Variant:  # fmt: skip
    return Variant(
        kind="splits", name=name, file="", content=files, right=None if word else right, note=note, refused=word
    )


SPLITS = (
    *(_split(name, {"train.txt": _POST, f"{name}.txt": _POST_8}, right=_BOTH) for name in ("dev", "val", "valid", "validation")),
    *(_split(f"left out {name}", {"train.txt": _POST, name: _POST_8}, note=name) for name in (
        "eval.txt", "Dev.txt", "dev.TXT", "dev.json", "dev.csv", "dev.txt.gz", "dev.tsv", "dev", "development.txt",
        "test1.txt", "testb.txt", "twitter_dev.txt", "dev_v2.txt", ".dev.txt", "dev-00000-of-00001.parquet",
        "test.arrow")),
    _split("folder", {"train.txt": _POST, "dev/posts.txt": _POST_8}, note="dev is not read"),
    _split("dev-and-validation", {"train.txt": _POST, "dev.txt": _POST_8, "validation.txt": _POST_8}, word="both its dev"),
    _split("two-formats", {"train.txt": _POST, "test.jsonl": rows({"id": 1, "text": "a"})}, word="several formats"),
    _split("folders", {"train/a.txt": _POST, "dev/a.txt": _POST_8}, word="no split found"),
    _split("conll-2003", {"eng.train": _POST, "eng.testa": _POST_8}, word="no split found"),
)  # fmt: skip


def _picture(width: int = 100, height: int = 80) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height)).save(content, "PNG")
    return content.getvalue()


def _xml(box: Sequence[object] = (10, 10, 50, 40), size: tuple[int, int] | None = (100, 80), name: str = "Anna") -> str:
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    head = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    return f"<annotation>{head}<object><name>{name}</name><bndbox>{sides}</bndbox></object></annotation>"


def _gmner(name: str, xml: str | bytes, word: str | None = None, file: str = "7.xml") -> Variant:
    files = {"txt/train.txt": _POST, f"xml/{file}": xml, "images/7.png": _picture()}
    return Variant(kind="boxes", name=name, file="", content=files, refused=word, right=None if word else _FIRST,
                   options={"images": "images"})  # fmt: skip


BOXES = (
    _gmner("plain", _xml()),
    _gmner("utf-16", ('<?xml version="1.0" encoding="utf-16"?>' + _xml()).encode("utf-16")),
    _gmner("other-case", _xml(name="anna")),
    _gmner("floats", _xml(box=("10.5", "10", "50.2", "40"))),
    _gmner("capital-suffix", _xml(), "no XML file belongs", "7.XML"),
    _gmner("two-suffixes", _xml(), "no XML file belongs", "7.jpg.xml"),
    _gmner("zero-before", _xml(), "no XML file belongs", "07.xml"),
    _gmner("attributes", '<annotation><object name="Anna" xmin="1"/></annotation>', "has no name"),
    _gmner("capitals", _xml().replace("object", "Object"), "outside of an <object>"),
    _gmner("rotated", _xml().replace("bndbox", "robndbox"), "has no bndbox"),
    _gmner("size-swapped", _xml(size=(80, 100)), "is not that of 7.png"),
    _gmner("size-of-another", _xml(size=(200, 160)), "is not that of 7.png"),
    _gmner("no-size-outside", _xml(size=None, box=(10, 10, 500, 400)), "lies outside of 7.png"),
    _gmner("thousandths", _xml(size=None, box=(100, 100, 900, 900)), "lies outside of 7.png"),
    _gmner("per-cent", _xml(size=None, box=(10, 10, 100, 100)), "lies outside of 7.png"),
    _gmner("shares", _xml(size=None, box=(0.1, 0.1, 0.5, 0.5)), "lies in 0..1"),
    _gmner("width-and-height", _xml(size=None, box=(50, 50, 30, 20)), "inverted"),
    _gmner("comma", _xml(box=("10,5", "10", "50", "40")), "not a number"),
    _gmner("other-name", _xml(name="Zoe"), "is no entity of the post"),
)


def _brat(name: str, text: str | bytes, marks: str, gold: list[tuple[int, int, str]] | None, word: str | None = None,
          note: str | None = None, **more: str) -> Variant:  # fmt: skip
    right: Gold | None = None if gold is None else [(text if isinstance(text, str) else "", gold)]
    return Variant(kind="brat", name=name, file="", content={"1.txt": text, "1.ann": marks, **more}, right=right,
                   refused=word, note=note)  # fmt: skip


BRAT = (
    _brat("crlf", "Anna\r\nBell in Oslo", "T1\tLOC 14 18\tOslo\r\n", [(14, 18, "LOC")]),
    replace(
        _brat("crlf-not-counted", "Anna\r\nBell in Oslo", "T1\tLOC 13 17\tOslo\n", []),
        right=[("Anna\nBell in Oslo", [(13, 17, "LOC")])],
        note="read as newlines alone",
    ),
    _brat("mark-counted", "\ufeffAnna Bell", "T1\tPER 1 5\tAnna\n", None, "fit neither"),
    _brat("newline-first", "\nAnna Bell", "T1\tPER 1 5\tAnna\n", [(1, 5, "PER")]),
    _brat("utf-16", "😀 Anna", "T1\tPER 3 7\tAnna\n", [(2, 6, "PER")], note="read as utf-16"),
    _brat("bytes", "é Anna", "T1\tPER 3 7\tAnna\n", [(2, 6, "PER")], note="read as bytes"),
    _brat("latin-1", "Zoé".encode("latin-1"), "T1\tPER 0 3\tZo\ufffd\n", None, "not UTF-8"),
    _brat("pieces", "Anna x Bell", "T1\tPER 0 4;7 11\tAnna Bell\n", None, "several pieces"),
    _brat("no-surface", "Anna Bell", "T1\tPER 0 4\n", None, "expected 'T1"),
    _brat("relations", "Anna", "T1\tPER 0 4\tAnna\nR1\tx Arg1:T1 Arg2:T1\n", [(0, 4, "PER")], note="1 of R"),
    _brat("second-file", "Anna", "T1\tPER 0 4\tAnna\n", [(0, 4, "PER")], note="1.a2", **{"1.a2": "T2\tX 0 4\tAnna\n"}),
)

_TWO: Gold = [("Anna Bell", [(0, 9, "PER")]), ("Oslo", [(0, 4, "LOC")])]
_ROWS = "Anna\tB-PER\nBell\tI-PER\n\nOslo\tB-LOC\n"
_ITEM = [ANNA, {"entities": [list(each) for each in ENTITIES]}]
HEADERS = (
    _read("headers and comments", "a.tsv", "tsv", f"word\ttag\n{_ROWS}", _TWO, "names the columns"),
    _read("headers and comments", "a.conll", "conll", f"\nToken\tLabel\n{_ROWS}", _TWO, "names the columns"),
    _read("headers and comments", "a.txt", "blanks", "word ner\nAnna B-PER\nBell I-PER\n\nOslo B-LOC\n", _TWO, "names"),
    _read("headers and comments", "a.tsv", "with-posts", "sentence_id\tword\ttag\n1\tAnna\tB-PER\n1\tBell\tI-PER\n2\tOslo\tB-LOC\n",
          _TWO),
    _refused("headers and comments", "a.conll", "conll-with-posts", "sentence_id\tword\ttag\n1\tAnna\tB-PER\n2\tOslo\tB-LOC\n",
             "name it .tsv"),
    _read("headers and comments", "a.tsv", "a-token-called-word", f"word\tO\n{_ROWS}",
          [("word Anna Bell", [(5, 14, "PER")]), _TWO[1]]),
    _read("headers and comments", "a.conll", "multiconer", "# id 52-a\tdomain=en\nAnna _ _ B-PER\nBell _ _ I-PER\n\n# id 52-b\tdomain=en\n"
          "Oslo _ _ B-LOC\n", _TWO, "2 comment line"),
    _read("headers and comments", "a.conll", "tabs", f"# id 52-a\tdomain=en\n{_ROWS}", _TWO, "1 comment line"),
    _read("headers and comments", "a.conll", "a-hash", "#\tO\nAnna\tB-PER\n", [("# Anna", [(2, 6, "PER")])]),
    _read("tables", "a.json", "spacy", json.dumps([_ITEM, None]), _GOLD, "1 empty item"),
    _read("tables", "a.json", "annotations", json.dumps({"classes": [], "annotations": [None, _ITEM]}), _GOLD, "1 empty"),
    _read("headers and comments", "a.txt", "text", "[Anna] left\n{so} she\n", [("[Anna] left", None), ("{so} she", None)], "one post a line"),
    _read("tables", "a.csv", "string", table(["text", "tags"], ["Anna Bell", "B-PER I-PER"]), _TWO[:1]),
    _read("tables", "a.csv", "list", table(["Sentence", "Tag"], ["Anna Bell", "['B-PER', 'I-PER']"]), _TWO[:1], "Tag"),
    _refused("tables", "a.csv", "too-few", table(["text", "tags"], ["Anna Bell left", "B-PER I-PER"]), "3 tokens and 2 tags"),
)  # fmt: skip

VARIANTS = (*HEADERS, *COLUMNS, *CELLS, *TABLES, *SPLITS, *BOXES, *BRAT)
