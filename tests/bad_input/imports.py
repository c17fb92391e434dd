"""Exports of other tools that cannot be read, or that can be read in two ways."""

from __future__ import annotations

import json
from typing import Any

from bad_input import Kind, lines

TEXT = "Ann in Rome"
TOKENS = TEXT.split()


def _import(name: str, file: str, content: str | bytes, place: str, remedy: str, options: str = "") -> Kind:
    return Kind(name, f"import {file} -o out.jsonl {options}", {file: content}, place, remedy)


def _row(name: str, remedy: str, place: str = r"a\.jsonl:1: ", options: str = "", **row: Any) -> Kind:
    return _import(name, "a.jsonl", json.dumps(row) + "\n", place, remedy, options)


def _list(name: str, remedy: str, row: Any, place: str = r"a\.json: item 1: ", options: str = "") -> Kind:
    return _import(name, "a.json", json.dumps([row]), place, remedy, options)


def _task(*results: dict[str, Any], **data: str) -> dict[str, Any]:
    return {"id": 1, "data": {"text": TEXT, **data}, "annotations": [{"result": list(results)}]}


def _span(*labels: str) -> dict[str, Any]:
    return {"type": "labels", "value": {"start": 0, "end": 3, "text": "Ann", "labels": list(labels)}}


def _rectangle(**more: Any) -> dict[str, Any]:
    value = {"x": 5, "y": 20, "width": 25, "height": 60, "rectanglelabels": ["PER"], **more.pop("value", {})}
    return {"type": "rectanglelabels", "original_width": 200, "original_height": 100, "value": value, **more}


def _brat(name: str, annotations: str, remedy: str) -> Kind:
    files = {"set/1.txt": TEXT + "\n", "set/1.ann": annotations}
    return Kind(name, "import set -o out.jsonl", files, r"^set", remedy)


PICTURE = {"image": "7.png"}
CSV = (
    _import("csv-empty", "a.csv", "", r"a\.csv:1: the table is empty", "expected a header"),
    _import("csv-column-twice", "a.csv", "text,text\na,b\n", r"a\.csv:1: column 'text' is given twice", "rename one"),
    _import("csv-too-few-cells", "a.csv", "id,text\n1\n", r"a\.csv:2: 1 cells, the header has 2", "into quotes"),
    _import("csv-too-many-cells", "a.csv", "id,text\n1,a,b\n", r"a\.csv:2: 3 cells, the header has 2", "into quotes"),
    _import("csv-open-quote", "a.csv", 'id,text\n1,"a\n', r"a\.csv:\d: no table of cells", "unexpected end of data"),
    _import(
        "csv-no-text", "a.csv", "id,foo\n1,a\n", r"a\.csv: no column is known to hold the text", "--column text=NAME"
    ),
    _import(
        "csv-latin-1", "a.csv", "text\nZürich\n".encode("latin-1"), r"a\.csv is not UTF-8", "save the file as UTF-8"
    ),
    _import(
        "csv-words-as-a-string",
        "a.csv",
        "id,words\n1,Ann left\n",
        r"a\.csv: column 'words' holds a string",
        "not a list of tokens; say --column text=words",
    ),
    _import(
        "csv-two-texts",
        "a.csv",
        "tweet,content\na,b\n",
        r"a\.csv: columns 'content', 'tweet' may each hold its text",
        "--column text=content",
    ),
    _import(
        "csv-tokens-of-no-post",
        "a.csv",
        "word,tag\nAnn,B-PER\n",
        r"a\.csv: one token a row, and no column says",
        "add a column sentence_id",
    ),
    _import(
        "csv-token-without-tag",
        "a.csv",
        "sentence_id,word,tag\n1,Ann,B-PER\n1,left,\n",
        r"a\.csv:3: token 'left' has no tag",
        "in column 'tag'",
    ),
    _import(
        "csv-broken-entities",
        "a.csv",
        'text,entities\nAnn,"[{0"\n',
        r"a\.csv: column 'entities' looks like labels",
        "--column meta=entities",
    ),
    _import(
        "csv-nothing-as-entities",
        "a.csv",
        "text,entities\nAnn,NULL\n",
        r"a\.csv:2: column 'entities' holds 'NULL'",
        "or write \\[\\] where it holds none",
    ),
    _import(
        "csv-mention-elsewhere",
        "a.csv",
        "text,mention,type\nAnn,Ann,PER\nAnn,ann,PER\n",
        r"a\.csv:3: mention",
        "write it as it stands there",
    ),
    _import(
        "csv-rows-in-quotes",
        "a.csv",
        'id,text\n1,"Ann\n2,Bob"\n',
        r"a\.csv:2: a cell begins with a quote",
        "write each quote in it twice",
    ),
    _import(
        "json-of-splits",
        "a.json",
        '{"train": [{"text": "Ann"}], "test": [{"text": "Bo"}]}',
        r"a\.json: holds splits \(train, test\)",
        "write the list of each into a file of its own",
    ),
    _import("json-by-columns", "a.json", '{"text": {"0": "Ann"}}', r"a\.json: written by columns", "orient='records'"),
    _import("excel-broken", "a.xlsx", b"no zip", r"a\.xlsx: cannot be read as Excel", "save it as .xlsx or CSV"),
    _import(
        "tsv-no-text", "a.tsv", "id\tfoo\n1\ta\n", r"a\.tsv: no column is known to hold the text", "--column text=NAME"
    ),
)

COLUMNS = (
    _row("import-no-text", "--column text=NAME", r"a\.jsonl: no column is known", foo="a"),
    _row(
        "import-picture-under-another-name",
        "--column images=pic_url .*--column meta=pic_url",
        r"a\.jsonl: column 'pic_url' looks like a picture",
        text="a",
        pic_url="7.png",
    ),
    _row(
        "import-box-of-a-post", "--column meta=bbox", r"a\.jsonl: column 'bbox' looks like a box", text="a", bbox=[1, 2]
    ),
    _row(
        "import-label-of-a-post",
        "'positive' is no list of entities .*--column meta=label",
        r"a\.jsonl: column 'label' looks like labels",
        text="a",
        label="positive",
    ),
    _row(
        "import-id-under-another-name",
        "--column id=news_id",
        r"a\.jsonl: column 'news_id' looks like an id",
        text="a",
        news_id=7,
    ),
    _row(
        "import-spans-under-another-name",
        "--column entities=found",
        r"a\.jsonl: column 'found' looks like labels",
        text=TEXT,
        found=[{"start": 0, "end": 3}],
    ),
    _row(
        "import-unknown-role",
        "write ROLE=NAME, with a role of id, text.*'txt' is no role; did you mean 'text'",
        "--column txt=a: ",
        "--column txt=a",
        text="a",
    ),
    _row("import-role-without-name", "write ROLE=NAME", "--column text: ", "--column text", text="a"),
    _row(
        "import-column-not-there",
        "there is no such column; did you mean 'text'",
        r"--column text=txt: ",
        "--column text=txt",
        text="a",
    ),
    _row(
        "import-role-twice",
        "name one column",
        r"--column text is given twice",
        "--column text=text --column text=b",
        text="a",
        b="b",
    ),
    _row(
        "import-tags-without-tokens",
        "1 tokens and 2 tags; tokens of a text are cut at blanks",
        text="a",
        ner_tags=["O", "O"],
    ),
    _row("import-fewer-tags", "2 tokens and 1 tags", tokens=["a", "b"], ner_tags=["O"]),
    _row("import-tags-of-numbers", "number without a name.*--label-names", tokens=["a"], ner_tags=[1]),
    _row("import-tag-of-another-scheme", "none of O, B-<type>", tokens=["a"], ner_tags=["PER"]),
    _row("import-chunks", "tags are those of phrases", tokens=["a"], ner_tags=["B-NP"]),
    _row("import-two-tags-in-one", "holds several tags in one", tokens=["a"], ner_tags=["B-PER|B-ORG"]),
    _row(
        "import-tokens-a-string",
        "not a list of tokens; say --column text=tokens",
        r"a\.jsonl: column 'tokens'",
        tokens=TEXT,
    ),
    _row(
        "import-tokens-of-another-text",
        "token 2, 'at', is not what the text goes on with",
        text=TEXT,
        tokens=["Ann", "at"],
    ),
    _row("import-picture-no-name", "a picture is no name of a file", text="a", image=[1.5]),
    _import(
        "import-column-of-later-rows",
        "a.jsonl",
        '{"text": "a"}\n' * 2001 + '{"text": "a", "new": 1}\n',
        r"a\.jsonl:2002: column 'new' is not in the first 2000 rows",
        "--column meta=new",
    ),
)

ENTITIES = (
    _row(
        "offsets-of-tokens-or-not",
        "may be tokens or tokens-inclusive.*--offsets tokens",
        r"a\.jsonl: its offsets",
        tokens=TOKENS,
        entities=[{"start": 0, "end": 1, "type": "PER"}],
    ),
    _row(
        "offsets-in-chinese",
        "may be characters or characters-inclusive.*--offsets",
        r"a\.jsonl: its offsets",
        text="张伟去北京",
        entities=[{"start": 0, "end": 2, "label": "PER"}],
    ),
    _row(
        "offsets-of-nothing",
        "fit neither characters nor tokens.*mend the offsets",
        r"a\.jsonl: the offsets",
        text=TEXT,
        entities=[{"start": 40, "end": 50, "label": "PER"}],
    ),
    _row(
        "offsets-that-cut-words",
        "most mentions cut a word.*mend the offsets, or say --offsets",
        r"a\.jsonl: however",
        text=TEXT,
        entities=[{"start": 0, "end": 1, "label": "PER"}, {"start": 7, "end": 8, "label": "LOC"}],
    ),
    _row(
        "offsets-of-another-surface",
        "reads as characters 'Ann'",
        r"a\.jsonl: the offsets of its entities fit neither",
        text=TEXT,
        entities=[{"start": 0, "end": 3, "text": "Bob", "label": "PER"}],
    ),
    _row(
        "surface-not-in-the-text",
        "'Bob' does not stand in the text",
        text=TEXT,
        entities=[{"text": "Bob", "label": "PER"}],
    ),
    _row(
        "surface-listed-too-often",
        "listed more often than it does",
        text=TEXT,
        entities=[{"text": "Ann", "label": "PER"}, {"text": "Ann", "label": "PER"}],
    ),
    _row("entity-without-label", "needs start, end and label", text=TEXT, entities=[{"start": 0, "end": 3}]),
    _row(
        "entity-with-two-labels",
        "has 2 labels; give it one",
        text=TEXT,
        entities=[{"start": 0, "end": 3, "labels": ["PER", "ORG"]}],
    ),
    _row("entity-of-another-shape", "neither an object nor", text=TEXT, entities=[[0, 3]]),
    _row("entity-label-a-number", "a number without a name", text=TEXT, entities=[{"start": 0, "end": 3, "label": 2}]),
    _row(
        "entity-with-bbox",
        "looks like a box, and its corners and unit are not guessed.*'boxes'",
        text=TEXT,
        entities=[{"start": 0, "end": 3, "label": "PER", "bbox": [1, 2, 3, 4]}],
    ),
    _row(
        "entities-nested",
        "overlaps the one before it; entities must be flat",
        text=TEXT,
        label=[[0, 3, "PER"], [0, 11, "ORG"]],
    ),
    _row(
        "box-in-shares",
        "boxes are pixels of the original picture; multiply them",
        r"a\.jsonl: 1 of 1 boxes lie in 0\.\.1",
        text=TEXT,
        image="7.png",
        entities=[{"start": 0, "end": 3, "text": "Ann", "label": "PER", "boxes": [[0.1, 0.2, 0.5, 0.6]]}],
    ),
    _import(
        "import-id-twice",
        "a.jsonl",
        '{"id": 1, "text": "a"}\n' * 2,
        "post 2: id '1' stands already above",
        "an id of its own, or carry the column along",
    ),
)

TOOLS = (
    _list(
        "label-studio-two-annotations",
        "has 2 annotations; export one of each task",
        {"id": 1, "data": {"text": TEXT}, "annotations": [{"result": []}, {"result": []}]},
    ),
    _list("label-studio-two-labels", "'Ann' has 2 labels; give it one", _task(_span("PER", "ORG"))),
    _list("label-studio-no-mention", "to which of 0 mentions .*relate it", _task(_rectangle(), **PICTURE)),
    _list("label-studio-no-picture", "0 pictures; which one", _task(_span("PER"), _rectangle())),
    _list(
        "label-studio-rotated",
        "a rectangle is rotated; draw it upright",
        _task(_span("PER"), _rectangle(value={"rotation": 10}), **PICTURE),
    ),
    _list("label-studio-no-size", "no original_width", _task(_span("PER"), _rectangle(original_width=0), **PICTURE)),
    _list(
        "label-studio-two-texts",
        "which field of 'data' is the text.*call it 'text'",
        {"data": {"a": "x y", "b": "y z"}, "annotations": []},
    ),
    _list(
        "label-studio-polygons",
        "of the type polygonlabels cannot be read; export spans and rectangles",
        _task({"type": "polygonlabels", "value": {}}),
    ),
    _list(
        "prodigy-regions",
        "a span is a region of the picture",
        {"text": TEXT, "answer": "accept", "spans": [{"points": [], "label": "PER"}]},
    ),
    _list("spacy-of-version-2", "convert it with spaCy", {"paragraphs": [{"sentences": []}]}),
    _list(
        "chat-without-a-mark", "--text-after .*instruct-mner import", {"messages": [{"role": "user", "content": TEXT}]}
    ),
    _list(
        "chat-without-the-mark",
        "no message of the user holds 'Post: '",
        {"messages": [{"role": "user", "content": TEXT}, {"role": "assistant", "content": "[]"}]},
        options="--text-after 'Post: '",
    ),
    _list(
        "chat-answer-no-json",
        "the answer 'none' is no JSON list of entities",
        {"query": f"Post: {TEXT}", "response": "none"},
        options="--text-after 'Post: '",
    ),
    _list(
        "universal-ner-answer",
        "the answer 'Ann' is no JSON list of texts",
        {
            "conversations": [
                {"from": "human", "value": f"Text: {TEXT}"},
                {"from": "human", "value": "What describes PER in the text?"},
                {"from": "gpt", "value": "Ann"},
            ]
        },
    ),
    _brat("brat-in-pieces", "T1\tPER 0 1;2 3\tA n\n", "in several pieces, a mention is one span"),
    _brat("brat-no-tab", "T1 PER 0 3 Ann\n", "expected 'T1<TAB>LABEL START END<TAB>TEXT'"),
    _brat("brat-another-text", "T1\tPER 0 3\tBob\n", "fit neither characters|does not stand there"),
    Kind(
        "brat-without-its-text",
        "import 1.ann -o out.jsonl",
        {"1.ann": ""},
        r"1\.ann: there is no text beside it",
        r"put 1\.txt into the same folder",
    ),
    Kind(
        "brat-text-of-another-name",
        "import set -o out.jsonl",
        {"set/1.txt": "a", "set/2.ann": ""},
        r"set/2\.ann: there is no text beside it",
        "put its .txt there",
    ),
)

FILES = (
    _import(
        "import-half-a-character",
        "a.jsonl",
        '{"text": "\\ud800 a"}\n',
        r"post 1|a\.jsonl:1: ",
        "half of a surrogate pair",
    ),
    _import(
        "import-pictures-in-one-string", "a.csv", "text,image\na,1.png;2.png\n", r"a\.csv:2: ", "write them as a list"
    ),
    _import("import-columns-by-commas", "a.txt", "Anna,B-PER\nleft,O\n", r"a\.txt:1: ", "expected TOKEN<TAB>TAG"),
    _import("import-spacy-binary", "a.spacy", b"\x80\x01", r"a\.spacy: no DocBin", "as JSON"),
    _import("json-cut", "a.json", '[{"text": "a"}', r"a\.json: not JSON", "is the file cut"),
    _import("json-a-number", "a.json", "3", r"a\.json: expected a list of posts", "found '3'"),
    _import(
        "json-key-twice",
        "a.json",
        '[{"text": "a", "text": "b"}]',
        r"a\.json: not JSON: key 'text' is given twice",
        "keep one of them",
    ),
    _import(
        "jsonl-key-twice",
        "a.jsonl",
        '{"text": "a", "text": "b"}\n',
        r"a\.jsonl:1: key 'text' is given twice",
        "keep one of them",
    ),
    _import(
        "jsonl-cut", "a.jsonl", '{"text": "a"}\n{"text": "b', r"a\.jsonl:2: not JSON", "a line is one whole object"
    ),
    _import(
        "jsonl-a-list-of-numbers",
        "a.jsonl",
        "[1, 2]\n",
        r"a\.jsonl: no column|a\.jsonl:1: expected an object",
        "text|obj",
    ),
    _import("import-empty", "a.jsonl", "", r"a\.jsonl: the file holds no post", "no post"),
    _import("import-empty-text", "a.txt", "\n\n", r"a\.txt: the file holds no post", "no post"),
    _import(
        "import-conll-in-two-ways",
        "a.txt",
        lines("Ann B-PER O", "b O O"),
        r"a\.txt: columns 2 and 3 hold tags",
        "--column tags=2",
    ),
    _import(
        "import-conll-no-such-column",
        "a.txt",
        lines("Ann B-PER O", "b O O"),
        r"there is no column 7 of tags",
        "a row has 3 column",
        "--column tags=7",
    ),
    _import(
        "import-conll-column-by-name",
        "a.txt",
        lines("Ann B-PER O", "b O O"),
        "--column tags=gold",
        "chosen by number, counted from 1",
        "--column tags=gold",
    ),
    _import(
        "import-tags-without-prefix", "a.txt", lines("Ann PER", "b O"), r"a\.txt:1: tag 'PER'", "none of O, B-<type>"
    ),
    Kind(
        "import-nothing-there",
        "import nowhere.csv -o out.jsonl",
        {},
        r"nowhere\.csv: there is no such file",
        "check the path",
    ),
    Kind(
        "import-folder-of-nothing",
        "import set -o out.jsonl",
        {"set/readme.md": ""},
        "set: no split found",
        "a folder holds",
    ),
    Kind(
        "import-out-exists",
        "import a.jsonl -o out.jsonl",
        {"a.jsonl": '{"text": "a"}\n', "out.jsonl": "mine"},
        r"out\.jsonl exists",
        "choose another name",
    ),
    Kind(
        "import-out-under-a-file",
        "import a.jsonl -o a.jsonl/out.jsonl",
        {"a.jsonl": '{"text": "a"}\n'},
        r"a\.jsonl/out\.jsonl: cannot be written",
        "choose another place",
    ),
    Kind(
        "import-images-missing",
        "import a.jsonl -o out.jsonl --images nowhere",
        {"a.jsonl": '{"text": "a"}\n'},
        "--images nowhere",
        "no such folder",
    ),
    Kind(
        "import-unknown-offsets",
        "import a.jsonl -o out.jsonl --offsets words",
        {"a.jsonl": '{"text": "a"}\n'},
        "--offsets",
        "is not one of 'characters'",
    ),
)

# Once read wrongly without a word; their variants are in tests/door_variants.
DOORS = (
    _import("csv-returns", "a.csv", "text\rAnn\rBob\r", r"a\.csv:1: its lines end", "save it with newlines"),
    _import("csv-nan-text", "a.csv", "id,text\n1,nan\n", r"a\.csv:2: the text is 'nan'", "take the row out"),
    _import("csv-nan-picture", "a.csv", "text,image\nAnn,nan\n", r"a\.csv:2: a picture is called 'nan'",
         "leave it empty"),
    _import("csv-rounded-id", "a.csv", "id,text\n9.12E+17,Ann\n", r"a\.csv:2: id 9\.12E\+17",
         "save the column as text"),
    _row("tags-and-entities", "--column meta=NAME", tokens=TOKENS, ner_tags=["O"] * 3, entities=[]),
    _row("empty-token", "take it and its tag out", tokens=["Ann", ""], ner_tags=["O", "O"]),
    _row("pieces", "join them to words", r"a\.jsonl: 1 of 2 tokens", tokens=["An", "##n"], ner_tags=["O", "O"]),
    _row("unknown-offsets", "call them 'start'", id="1", text=TEXT, spans=[{"where": [0, 3], "text": "Ann",
         "label": "PER"}]),
    _row("type-not-visible", "take it out", text=TEXT, spans=[{"start": 0, "end": 3, "label": "PER\u200b"}]),
    _row("type-o", "join the tokens", r"a\.jsonl: 1 mentions", text=TEXT, spans=[{"start": 0, "end": 3, "label": "O"}]),
    _row("picture-elsewhere", "--column images=bild", r"a\.jsonl: column 'bild' looks like a picture",
         text=TEXT, bild="7.jpg"),
    _import("brackets", "a.txt", "Ann (PER*)\nleft *)\n", r"a\.txt:1: 'Ann \(PER\*\)'", "write a token and its tag"),
    _import("several-tokens", "a.tsv", "1-2\tdu\tO\n1\tde\tO\n2\tle\tO\n", r"a\.tsv: row '1-2'", "take such rows out"),
    _import("probability", "a.txt", "Ann\tB-PER:0.9\nleft\tO\n", r"a\.txt:1: tag 'B-PER:0\.9'", "take it out"),
    _import("type-of-o", "a.txt", "Ann\tB-O\nleft\tO\n", r"a\.txt:1: tag 'B-O'", "has the tag O"),
)  # fmt: skip

KINDS = (*CSV, *COLUMNS, *ENTITIES, *TOOLS, *FILES, *DOORS)
