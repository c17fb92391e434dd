"""CoNLL, GMNER, FMNERG, CMNER, the hub, captions, and which file is what."""

from __future__ import annotations

from pathlib import Path

from bad_input import Kind, lines, post

GOOD = lines("IMGID:7", "Ann B-PER", "in O", "Rome B-LOC")


def _columns(name: str, content: str, place: str, remedy: str, form: str = "conll") -> Kind:
    return Kind(name, f"convert {form}:a.txt out.jsonl --missing-image keep", {"a.txt": content}, place, remedy)


def _xml(name: str, xml: str, remedy: str) -> Kind:
    files = {"set/txt/train.txt": GOOD, "set/xml/7.xml": xml}
    return Kind(name, "convert gmner:set out --missing-image keep", files, r"set/xml/7\.xml: ", remedy)


def _object(name: str = "Ann", *, box: str = "", size: str = "") -> str:
    return f"<annotation>{size}<object><name>{name}</name>{box}</object></annotation>"


def _bndbox(x0: object, y0: object, x1: object, y1: object) -> str:
    return f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"


SIZE = "<size><width>50</width><height>40</height></size>"
BOMB = '<!DOCTYPE a [<!ENTITY b "c">]><annotation><object><name>&b;</name></object></annotation>'


def hub_rows(**columns: list[object]) -> object:
    """Saves a data set of these columns as ``set``."""

    def save(folder: Path) -> None:
        import datasets

        datasets.Dataset.from_dict(columns).save_to_disk(str(folder / "set"))

    return save


COLUMNS = (
    _columns("conll-label-with-separator", "IMGID:7\nAnn\tB-a: b\n", r"a\.txt:2: tag 'B-a: b'", "none of O, B-<type>"),
    _columns("conll-bad-tag", lines("IMGID:7", "Ann PER"), r"a\.txt:2: tag 'PER'", "none of O, B-<type>, I-<type>"),
    _columns(
        "conll-missing-tab", "IMGID:7\na\tO\nAnn B-PER\n", r"a\.txt:3: ", "expected TOKEN<TAB>TAG, found 1 column"
    ),
    _columns(
        "conll-too-many-columns",
        lines("IMGID:7", "a O", "b O", "Ann NNP B-PER"),
        r"a\.txt:4: ",
        "expected TOKEN<TAB>TAG, found 3 column",
    ),
    _columns(
        "conll-gold-and-prediction",
        lines("IMGID:7", "Ann B-PER O", "b O O"),
        r"a\.txt: columns 2 and 3 hold tags",
        "choose the column of the gold with .*--column tags=2",
    ),
    _columns(
        "conll-gold-and-prediction-by-spaces",
        "Ann B-PER O\nb O O\n",
        r"a\.txt: columns 2 and 3 hold tags",
        "--column tags=2",
    ),
    _columns(
        "conll-chunks",
        lines("Ann NNP B-NP", "runs VBZ B-VP"),
        r"a\.txt: column 3 holds tags of phrases",
        "no entities; add a column",
    ),
    _columns(
        "conll-chunks-alone",
        lines("Ann B-NP", "runs B-VP"),
        r"a\.txt: its tags are those of phrases",
        "no entities; name a file",
    ),
    _columns(
        "conll-no-column-of-tags",
        lines("Ann NNP x", "runs VBZ y"),
        r"a\.txt: none of the 3 columns holds tags",
        "add a column of tags of entities",
    ),
    _columns(
        "conll-two-tags-in-one",
        lines("IMGID:7", "Ann B-PER,B-PER"),
        r"a\.txt:2: tag 'B-PER,B-PER'",
        "holds several tags in one; keep one",
    ),
    _columns(
        "conll-alternatives",
        lines("IMGID:7", "Ann B-PER|B-ORG"),
        r"a\.txt:2: tag 'B-PER\|B-ORG'",
        "holds several tags in one; keep one",
    ),
    _columns(
        "conll-outside-or-inside",
        lines("IMGID:7", "a O", "Ann O|B-ORG"),
        r"a\.txt:3: tag 'O\|B-ORG'",
        "holds several tags in one; keep one",
    ),
    _columns("conll-tags-with-underscores", lines("Ann B_PER", "b O"), r"a\.txt:1: tag 'B_PER'", "none of O, B-<type>"),
    _columns("conll-tags-without-prefix", lines("Ann PER", "b O"), r"a\.txt:1: tag 'PER'", "none of O, B-<type>"),
    _columns(
        "conll-signs-as-mentions",
        lines("IMGID:7", "! B-PER", "a O"),
        r"a\.txt: 1 of 1 gold mentions can be said by",
        "no letter or digit",
    ),
    _columns("conll-token-without-tag", "IMGID:7\nAnn\t\n", r"a\.txt:2: tag '' of token 'Ann'", "none of O, B-<type>"),
    _columns("conll-empty-token", "IMGID:7\n\tO\n", r"a\.txt:2: the token is empty", "TOKEN<TAB>TAG"),
    _columns("conll-id-without-tokens", lines("IMGID:7", "", "IMGID:8", "a O"), r"a\.txt:1: ", "post '7' has no token"),
    _columns("conll-id-line-without-id", lines("IMGID:", "Ann O"), r"a\.txt:1: ", "'IMGID:' without an id"),
    _columns("conll-post-without-id", GOOD + lines("", "b O"), r"a\.txt:6: ", "begins without an 'IMGID:<id>' line"),
    _columns("conll-duplicate-id", GOOD + "\n" + GOOD, r"a\.txt:6: id '7'", "already in line 1; .*id of its own"),
    _columns("conll-x-outside-context", lines("IMGID:7", "Ann X"), r"a\.txt:2: tag 'X'", "<EOS> of the same post must"),
    _columns("conll-tag-in-context", lines("IMGID:7", "A O", "<EOS> X", "b X", "c O"), r"a\.txt:1: ", "labelled X"),
    _columns("conll-empty", "", r"a\.txt:1: the file holds no post", "expected 'IMGID:<id>' and TOKEN<TAB>TAG lines"),
    _columns("fmnerg-one-column", GOOD, r"a\.txt:2: ", "expected TOKEN<TAB>COARSE<TAB>FINE, found 2", "fmnerg"),
    _columns("fmnerg-bad-tag", lines("IMGID:7", "Ann B-PER person"), r"a\.txt:2: tag 'person'", "none of O", "fmnerg"),
    _columns("cmner-other-header", GOOD, r"a\.txt:1: ", "begins without an 'WID:<id>' line", "cmner"),
    _columns("gmner-file-for-a-folder", GOOD, "xml: there is no such folder", "--xml DIR|read as conll:", "gmner"),
)

XML = (
    _xml("xml-broken", "<annotation><object>", "not well-formed XML: .*line 1"),
    _xml("xml-doctype", BOMB, r"document type \('annotation'|document type \('a'\), which is refused; take the line"),
    _xml("xml-unknown-name", _object("Bob", box=_bndbox(1, 2, 3, 4)), "object 'Bob' is no entity of the post in line"),
    _xml("xml-no-name", _object("", box=_bndbox(1, 2, 3, 4)), "an object has no name"),
    _xml("xml-no-bndbox", _object(), "object 'Ann' has no bndbox"),
    _xml("xml-outside-size", _object(box=_bndbox(1, 2, 99, 9), size=SIZE), "outside of its picture of 50 x 40 pixels"),
    _xml("xml-no-number", _object(box=_bndbox(1, "two", 3, 4)), "ymin is 'two', not a number"),
    _xml("xml-missing-value", _object(box="<bndbox><xmin>1</xmin></bndbox>"), "ymin is '', not a number"),
    _xml("xml-inverted", _object(box=_bndbox(9, 9, 3, 3)), "is inverted, empty or negative"),
    _xml("xml-in-shares", _object(box=_bndbox(0.1, 0.2, 0.5, 0.6)), "lies in 0..1, boxes are pixels"),
    _xml("xml-other-root", "<coco><images/></coco>", "another layout: <coco> holds no <object>.*Pascal VOC"),
    _xml("xml-other-elements", "<annotation><region/></annotation>", "another layout.*but <region>.*Pascal VOC"),
    _xml("xml-box-without-object", f"<annotation>{_bndbox(1, 2, 3, 4)}</annotation>", "outside of an <object>"),
    _xml("xml-size-no-number", _object(box=_bndbox(1, 2, 3, 4), size="<size><width>a</width></size>"), "width is 'a'"),
    Kind("gmner-xml-of-other-posts", "convert gmner:set out --missing-image keep",
         {"set/txt/train.txt": GOOD, "set/xml/8.xml": _object(box=_bndbox(1, 2, 3, 4))},
         r"set/xml: no XML file belongs to any of the 1 posts \(looked for: 7\.xml\)", "--xml DIR"),
    _xml("xml-infinite", _object(box=_bndbox(1, 2, "inf", 4)), "xmax is 'inf', not a number"),
    Kind("gmner-no-xml-folder", "convert gmner:set out --missing-image keep", {"set/txt/train.txt": GOOD},
         "set/xml: there is no such folder", "read as conll:"),
    Kind("gmner-wrong-xml-option", "convert gmner:set out --xml nowhere", {"set/txt/train.txt": GOOD},
         "--xml nowhere", "no such folder"),
)  # fmt: skip

HUB = (
    Kind("hub-none", "convert hub:./nowhere out.jsonl", {}, "hub:nowhere cannot be loaded", "folder or .*on the hub"),
    Kind("hub-no-text", "convert hub:set out.jsonl", {}, "hub:set#train: ", "no column is named text, sentence, tokens",
         change=hub_rows(post=["a"])),
    Kind("hub-numbers-without-names", "convert hub:set out.jsonl", {}, "hub:set#train: row 0: label 1 is a number",
         "must be of the type ClassLabel", change=hub_rows(tokens=[["a"]], ner_tags=[[1]])),
    Kind("hub-fewer-tags", "convert hub:set out.jsonl", {}, "hub:set#train: row 0: ", "2 tokens and 1 tags",
         change=hub_rows(tokens=[["a", "b"]], ner_tags=[["O"]])),
    Kind("hub-unknown-split", "convert hub:set#tset out.jsonl", {}, "hub:set#tset: there is no split 'tset'",
         "found: train", change=hub_rows(text=["a"])),
)  # fmt: skip

DATA = (
    Kind("unknown-format", "convert conl:a.txt out.jsonl", {"a.txt": GOOD}, "conl:a.txt: unknown format 'conl'",
         r"did you mean 'conll'\?.*known: conll, gmner"),
    Kind("format-not-told", "convert a.csv out.jsonl", {"a.csv": "a,b"}, r"a\.csv: the format cannot be told",
         r"write FORMAT:a\.csv"),
    Kind("folder-without-splits", "convert set out", {"set/readme.md": ""}, "set: no split found",
         r"a folder holds train\|dev\|\S+ with \.txt, \.conll, .*\.iob2, \.jsonl, \.parquet or txt/train\|"),
    Kind("two-files-of-one-split", "convert set out", {"set/dev.jsonl": post(), "set/valid.jsonl": post()},
         r"set: dev\.jsonl and valid\.jsonl are both its dev", "take one out"),
    Kind("two-formats-in-a-folder", "convert set out", {"set/dev.jsonl": post(), "set/train.txt": GOOD},
         "set holds splits in several formats", "write one of conll:set, jsonl:set"),
    Kind("several-splits-for-one-file", "convert set out.jsonl", {"set/dev.jsonl": post(), "set/test.jsonl": post()},
         r"dev, test do not fit into one file out\.jsonl", "--split, or name a folder"),
    Kind("unknown-split", "convert set out.jsonl --split tset", {"set/test.jsonl": post()}, "no split 'tset'",
         "did you mean 'test'"),
    Kind("several-splits-to-evaluate", "evaluate set p.jsonl",
         {"set/dev.jsonl": post(), "set/test.jsonl": post(), "p.jsonl": post()}, "set holds several splits",
         r"name one of them: jsonl:set/dev\.jsonl"),
    Kind("images-folder-missing", "convert posts.jsonl out.jsonl --images nowhere", {"posts.jsonl": post()},
         "--images nowhere", "there is no such folder; check the path"),
    Kind("text-for-a-file", "tag 'Ann left' --model $IDEFICS3 --labels PER", {}, "Ann left: there is no such file",
         "given by --text"),
    Kind("images-in-an-archive", "convert posts.jsonl out.jsonl --images pics.zip",
         {"posts.jsonl": post(), "pics.zip": b"PK\x03\x04"}, r"--images pics\.zip", "a folder, and unpack archives"),
    Kind("predictions-in-xml", "evaluate posts.jsonl p.xml", {"posts.jsonl": post(), "p.xml": "<p>Ann</p>"},
         r"p\.xml is XML, which is not read", "export JSON"),
    Kind("captions-syntax", "convert posts.jsonl out.jsonl --captions c.txt",
         {"posts.jsonl": post(), "c.txt": "a.jpg : a\nb.jpg\n"}, r"c\.txt:2: ", "expected NAME :CAPTION"),
    Kind("captions-not-json", "convert posts.jsonl out.jsonl --captions c.json", {"posts.jsonl": post(), "c.json": "{"},
         r"c\.json is not JSON: .*line 1", "expected one object of picture names and their captions"),
    Kind("captions-nested-too-deep", "convert posts.jsonl out.jsonl --captions c.json",
         {"posts.jsonl": post(), "c.json": "[" * 100_000}, r"c\.json is not JSON",
         "expected one object of picture names"),
    Kind("captions-of-another-shape", "convert posts.jsonl out.jsonl --captions c.json",
         {"posts.jsonl": post(), "c.json": '{"a.jpg": 3}'}, r"c\.json: ", "expected one object of picture names"),
    Kind("captions-that-differ", "convert posts.jsonl out.jsonl --captions c.txt",
         {"posts.jsonl": post(), "c.txt": "a :b\na :c\n"}, r"c\.txt:2: a has another caption", "line above"),
    Kind("flag-of-unknown-value", "convert posts.jsonl out.jsonl --missing-image eror", {"posts.jsonl": post()},
         "--missing-image", "is not one of 'error'"),
    Kind("unknown-flag", "convert posts.jsonl out.jsonl --spilt x", {"posts.jsonl": post()}, "--spilt",
         "No such option.*--split"),
    Kind("out-under-a-file", "convert posts.jsonl posts.jsonl/out.jsonl", {"posts.jsonl": post()},
         r"posts\.jsonl/out\.jsonl: cannot be written", "choose another"),
    Kind("out-exists", "convert posts.jsonl out.jsonl", {"posts.jsonl": post(), "out.jsonl": "mine"},
         "out.jsonl exists", "choose another name or remove it"),
)  # fmt: skip

KINDS = (*COLUMNS, *XML, *HUB, *DATA)
