"""JSONL: encodings, syntax, fields, offsets, boxes."""

from __future__ import annotations

from bad_input import ANN, Content, Kind, boxed, marked, post

ROME = {"start": 7, "end": 11, "text": "Rome", "label": "LOC"}


def _rows(name: str, content: Content, remedy: str, *, line: int = 1, more: tuple[str, ...] = ()) -> Kind:
    """A file that ``convert`` must not write anything of."""
    place = rf"\bposts\.jsonl:{line}: "
    return Kind(name, "convert posts.jsonl out.jsonl", {"posts.jsonl": content}, place, remedy, more)


FIVE = (
    post(id="1", txet="x"),
    marked({**ANN, "end": 99}),
    '{"id": "3", "text": \n',
    boxed(9, 9, 3, 3, id="4"),
    post(id="5", text=None),
)

KINDS = (
    Kind("missing-file", "convert posts.jsonl out.jsonl", {}, r"posts\.jsonl: there is no such file", "check the path"),
    _rows("empty-file", "", "expected one JSON object a line"),
    _rows("blank-lines-only", "\n \n", "expected one JSON object a line"),
    _rows("binary", bytes(range(128, 256)) * 4, "is not UTF-8; save the file as UTF-8"),
    _rows("utf-16", post().encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
    _rows("utf-16-without-mark", post().encode("utf-16-le"), "the file is UTF-16 .*; save it as UTF-8"),
    _rows("latin-1", post(text="Zürich", entities=[]).encode("latin-1"), "byte 0xfc .* save the file as UTF-8"),
    _rows("truncated", post(id="1") + post(id="2")[:30], "not JSON.*is the file cut", line=2),
    _rows(
        "json-syntax",
        post().replace('"text":', '"text"'),
        "not JSON: expected `:` at column 20; a line is one whole object",
    ),
    _rows("json-array", "[" + post().strip() + "]\n", "expected a JSON object"),
    _rows("pretty-printed", '{\n  "id": "1",\n  "text": "a"\n}\n', "not JSON.*one whole object .*spread over lines"),
    _rows("number-for-text", post(text=7), "text: .*string"),
    _rows("text-for-offset", marked({**ANN, "start": "zero"}), r"entities\.0\.start: .*integer"),
    _rows("no-text", '{"id": "1"}\n', "text: is needed"),
    _rows("no-id", '{"text": "a"}\n', "id: is needed"),
    _rows("empty-id", post(id=""), "id: must not be empty"),
    _rows("unknown-field", post(entites=[]), "entites: unknown field; did you mean 'entities'"),
    _rows("unknown-field-of-entity", marked({**ANN, "lable": "x"}), r"entities\.0\.lable: .*mean 'label'"),
    _rows("unknown-field-of-box", post(entities=[{**ANN, "boxes": [{"bbox": [1, 2, 3, 4]}]}]), "did you mean 'box'"),
    _rows("duplicate-id", post() + post(), "id '1' stands already in line 1; .*id of its own", line=2),
    _rows("offset-past-the-end", marked({**ANN, "start": 20, "end": 23}), "does not stand there: the text has ''"),
    _rows("text-mismatch", marked({**ANN, "text": "Bob"}), "'Bob' at 0:3 does not stand there: the text has 'Ann'"),
    _rows("length-mismatch", marked({**ANN, "end": 4}), "has 3 characters, its offsets 0:4 span 4"),
    _rows("zero-length", marked({**ANN, "end": 0, "text": ""}), "ends at 0, not after its start 0"),
    _rows("negative-offset", marked({**ANN, "start": -3}), r"entities\.0\.start: .*greater than or equal to 0"),
    _rows("overlapping", marked(ANN, {"start": 2, "end": 6, "text": "n in", "label": "X"}), "overlaps.*must be flat"),
    _rows("nested", marked({**ANN, "end": 11, "text": "Ann in Rome"}, ROME), "'Rome' at 7:11 overlaps.*must be flat"),
    _rows("same-span-twice", marked(ANN, {**ANN, "label": "LOC"}), "overlaps.*must be flat"),
    _rows("empty-label", marked({**ANN, "label": ""}), r"entities\.0\.label: must not be empty"),
    _rows("label-with-newline", marked({**ANN, "label": "P\nR"}), r"entities\.0.*'P\\nR' holds a newline"),
    _rows("label-with-separator", marked({**ANN, "label": "a: b"}), "'a: b' holds ': ', which separates"),
    _rows("label-with-edge-space", marked({**ANN, "label": "PER "}), "'PER ' is empty or has a space at its edge"),
    _rows("nan-box", boxed(1, 2, float("nan"), 4), "box .*not finite"),
    _rows("infinite-box", boxed(1, 2, float("inf"), 4), "box .*not finite"),
    _rows("inverted-box", boxed(9, 9, 3, 3), r"is not \[x0, y0, x1, y1\] with 0 <= x0 < x1"),
    _rows("negative-box", boxed(-1, 2, 3, 4), r"is not \[x0, y0, x1, y1\] with 0 <= x0 < x1"),
    _rows("box-of-three", boxed(1, 2, 3), r"box.*\[x0, y0, x1, y1\]|box\.3: is needed"),
    _rows("box-of-text", boxed("a", 2, 3, 4), r"entities\.0\.boxes\.0\.box\.0: .*number"),
    _rows("box-on-no-picture", boxed(1, 2, 3, 4, image=1), r"box on picture 1, the post has 1 picture"),
    _rows("lone-surrogate", '{"id": "1", "text": "\\ud800"}\n', "a text holds half of a surrogate pair"),
    _rows(
        "five-bad-lines-at-once",
        "".join(FIVE),
        "did you mean 'text'",
        more=(r"5 problem\(s\)|6 problem\(s\)", *(rf"posts\.jsonl:{number}: " for number in range(1, 6))),
    ),
    Kind(
        "folder-named-jsonl",
        "convert jsonl:posts.jsonl out.jsonl",
        {},
        "posts.jsonl: no split found",
        r"a folder holds \{?.*jsonl",
        change=lambda folder: (folder / "posts.jsonl").mkdir(),
    ),
)
