"""Tags, headers and lines of files with columns."""

from __future__ import annotations

from door_variants import ANNA, ENTITIES, TAGS, Content, Gold, Variant, columns, entity, post, rows

_GOLD: Gold = [(ANNA, list(ENTITIES))]
_NO_TAG = "is none of O, B-<type>"
_TWO: Gold = [(ANNA, list(ENTITIES)), ("see Paris", [(4, 9, "LOC")])]
_FIRST, _OTHER = columns(*TAGS, header=""), "see\tO\nParis\tB-LOC\n"


def _tags(name: str, *tags: str, word: str = _NO_TAG) -> Variant:
    return Variant(kind="tags", name=name, file="a.txt", content=columns(*tags), refused=word)


def _types(name: str, first: str, second: str, note: str | None = None) -> Variant:
    marked = [entity(0, 9, first), entity(18, 22, second)]
    return Variant(kind="types", name=name, content=rows(post(ANNA, *marked)), note=note,
                   right=[(ANNA, [(0, 9, first), (18, 22, second)])])  # fmt: skip


def _file(kind: str, name: str, content: Content, right: Gold | None = None, refused: str | None = None,
          note: str | None = None, pictures: tuple[str, ...] | None = None) -> Variant:  # fmt: skip
    return Variant(
        kind=kind, name=name, file="a.txt", content=content, right=right, refused=refused, note=note, pictures=pictures
    )


def _header(name: str, header: str, *, refused: str | None = None, pictures: tuple[str, ...] = ("7",)) -> Variant:
    content = f"{header.format(7)}\n{_FIRST}\n{header.format(8)}\n{_OTHER}"
    right = _TWO if refused is None else None
    return _file("headers", name, content, right, refused, pictures=None if refused else pictures)


def _lines(name: str, old: str, new: str, *, refused: str | None = None, right: Gold | None = None) -> Variant:
    content = f"IMGID:7\n{_FIRST}\nIMGID:8\n{_OTHER}".replace(old, new)
    return _file("lines", name, content, right if right or refused else _TWO, refused)


TAG_VARIANTS = (
    _tags("suffix", "PER-B", "PER-I", "O", "O", "LOC-B"),
    _tags("suffix-underscore", "PER_B", "PER_I", "O", "O", "LOC_B"),
    _tags("underscore", "B_PER", "I_PER", "O", "O", "B_LOC"),
    _tags("colon", "B:PER", "I:PER", "O", "O", "B:LOC"),
    _tags("dash", "B–PER", "I–PER", "O", "O", "B–LOC"),
    _tags("wide", "Ｂ-PER", "Ｉ-PER", "Ｏ", "Ｏ", "Ｂ-LOC"),
    _tags("lower", "b-per", "i-per", "o", "o", "b-loc"),
    _tags("lower-bioes", "b-PER", "e-PER", "O", "O", "s-LOC"),
    _tags("no-prefix", "PER", "PER", "O", "O", "LOC"),
    _tags("zero", "B-PER", "I-PER", "0", "0", "B-LOC"),
    _tags("small-o", "B-PER", "I-PER", "o", "o", "B-LOC"),
    _tags("out", "B-PER", "I-PER", "OUT", "OUT", "B-LOC"),
    _tags("underscores", "B-PER", "I-PER", "_", "_", "B-LOC"),
    _tags("padding", "B-PER", "I-PER", "[PAD]", "O", "B-LOC"),
    _tags("numbers", "1", "2", "0", "0", "3"),
    _tags("unknown-prefix", "B-PER", "I-PER", "O", "O", "W-LOC"),
    _tags("no-type", "B-", "I-", "O", "O", "B-LOC"),
    _tags("type-o", "B-PER", "I-PER", "B-O", "I-O", "B-LOC", word="outside of entities has the tag O"),
    _tags("probability", "B-PER:0.93", "I-PER:0.9", "O", "O", "B-LOC:0.8", word="a number stands behind its type"),
    _tags("probability-equals", "B-PER=0.93", "I-PER=0.9", "O", "O", "B-LOC", word="a number stands behind its type"),
    _tags("not-visible", "B-PER\u200b", "I-PER\u200b", "O", "O", "B-LOC", word="not visible"),
    _tags("soft-hyphen", "B-PER\u00ad", "I-PER", "O", "O", "B-LOC", word="not visible"),
    _tags("byte-order-mark", "B-\ufeffPER", "I-PER", "O", "O", "B-LOC", word="not visible"),
    _tags("left-to-right-mark", "B-PER\u200e", "I-PER", "O", "O", "B-LOC", word="not visible"),
    _tags("no-break-space", "B-PER\u00a0", "I-PER\u00a0", "O", "O", "B-LOC"),
    _tags("semicolon", "B-PER;B-ORG", "I-PER;I-ORG", "O", "O", "B-LOC", word="several tags in one"),
    _tags("tilde", "B-PER~B-ORG", "I-PER~I-ORG", "O", "O", "B-LOC", word="several tags in one"),
    _tags("bar-types", "B-PER|ORG", "I-PER|ORG", "O", "O", "B-LOC", word="several tags in one"),
    _tags("blank", "B-PER B-PER", "I-PER I-PER", "O O", "O O", "B-LOC B-LOC", word="several tags in one"),
    _tags("context-without-eos", "B-PER", "X", "O", "O", "B-LOC", word="is for a context"),
    _tags("chunks", "B-NP", "I-NP", "B-VP", "B-PP", "B-NP", word="those of phrases"),
    _tags("chunks-lower", "B-np", "I-np", "B-vp", "B-pp", "B-np", word="those of phrases"),
    _tags("chunks-of-ontonotes", "B-NP", "I-NP", "B-VP", "B-PP", "B-NML", word="those of phrases"),
    _file("tags", "other-script", columns("B-人名", "I-人名", "O", "O", "B-地名"),
          [(ANNA, [(0, 9, "人名"), (18, 22, "地名")])]),
    _file("tags", "blank-behind", columns("B-PER ", "I-PER ", "O", "O", "B-LOC"), _GOLD),
    _file("tags", "case-within", columns("B-PER", "I-per", "O", "O", "B-LOC"),
          [(ANNA, [(0, 4, "PER"), (5, 9, "per"), (18, 22, "LOC")])], note="differ in case alone"),
    _file("tags", "coarse-and-fine", columns("B-person.artist", "I-person.artist", "O", "O", "B-location-city"),
          [(ANNA, [(0, 9, "person.artist"), (18, 22, "location-city")])]),
    _types("case", "PER", "per", "differ in case alone"),
    _types("spaces", "other person", "other_person", "case, spaces or spelling"),
    _types("wide", "PER", "ＰＥＲ", "case, spaces or spelling"),
    _types("composed", "Caf\u00e9", "Cafe\u0301", "case, spaces or spelling"),
    _types("hyphen", "work-of-art", "work of art", "case, spaces or spelling"),
    Variant(kind="types", name="joined", right=[(ANNA, [(0, 4, "PER"), (5, 9, "ORG"), (18, 22, "PER/ORG")])],
            content=rows(post(ANNA, entity(0, 4, "PER"), entity(5, 9, "ORG"), entity(18, 22, "PER/ORG"))),
            note="join two others"),
    Variant(kind="types", name="o", content=rows(post(ANNA, entity(0, 9, "O"))), refused="tag of a token"),
    Variant(kind="types", name="tags-of-tokens", content=rows(post(ANNA, entity(0, 4, "B-PER"), entity(5, 9, "I-PER"))),
            refused=r"tag of a token as their type \(B-PER, I-PER\)"),
    Variant(kind="types", name="of-a-pipeline", refused="tag of a token", content=rows(post(ANNA, *(
        {"entity": tag, "word": word, "start": start, "end": start + 4, "score": 0.9}
        for tag, word, start in (("B-PER", "Anna", 0), ("I-PER", "Bell", 5)))))),
    Variant(kind="types", name="space-behind", content=rows(post(ANNA, entity(0, 9, "PER "))), refused="space at its edge"),
    Variant(kind="types", name="not-visible", content=rows(post(ANNA, entity(0, 9, "PER\u200b"))), refused="not visible"),
    Variant(kind="types", name="number", content=rows(post(ANNA, entity(0, 9, 1))), refused="number without a name"),
    Variant(kind="types", name="several", content=rows(post(ANNA, {"start": 0, "end": 9, "labels": ["PER", "ORG"]})),
            refused="has 2 labels"),
)  # fmt: skip

HEADER_VARIANTS = (
    _header("plain", "IMGID:{}"),
    _header("blank", "IMGID: {}"),
    _header("tag-behind", "IMGID:{}\tO"),
    _header("tag-behind-blank", "IMGID:{} O"),
    _header("type-behind", "IMGID:{}\tB-PER"),
    _header("comment", "#IMGID:{}"),
    _header("comment-blank", "# IMGID:{}"),
    _header("suffix", "IMGID:{}.jpg", pictures=("7.jpg",)),
    _header("path", "IMGID:a/{}.png", pictures=("a/7.png",)),
    _header("id-comment", "# id = {}", pictures=()),
    _header("document", "-DOCSTART- -X- -X- O".replace(" ", "\t"), pictures=()),
    _header("document-number", "-DOCSTART- ({})", pictures=()),
    _header("document-two-hyphens", "--DOCSTART--\tO", pictures=()),
    _header("document-lower", "-docstart-\tO", pictures=()),
    _header("document-plain", "DOCSTART\tO", pictures=()),
    _header("lower", "imgid:{}", refused="expected TOKEN<TAB>TAG"),
    _header("equals", "IMGID={}", refused="expected TOKEN<TAB>TAG"),
    _header("wide-colon", "IMGID：{}", refused="expected TOKEN<TAB>TAG"),
    _header("tab", "IMGID\t{}", refused=_NO_TAG),
    _header("zero-behind", "IMGID:{}\t0", refused=_NO_TAG),
    _header("context-behind", "IMGID:{}\tX", refused="is for a context"),
    _header("other-name", "TWEETID:{}", refused="expected TOKEN<TAB>TAG"),
    _header("of-weibo", "WID:{}", refused="can be said by no answer"),
    _header("slashes", "// {}", refused="expected TOKEN<TAB>TAG"),
    _header("element", "<doc id={}>", refused="expected TOKEN<TAB>TAG"),
    _header("number", "{}", refused="expected TOKEN<TAB>TAG"),
    _header("of-columns", "token\ttag", refused="a tag|none of O"),
)

LINE_VARIANTS = (
    _lines("crlf", "\n", "\r\n"),
    _lines("returns", "\n", "\r", refused="carriage return alone"),
    _lines("mark-inside", "IMGID:8", "\ufeffIMGID:8", refused="expected TOKEN<TAB>TAG"),
    _lines("form-feed", "\n\n", "\n\f\n", refused="expected TOKEN<TAB>TAG"),
    _lines("no-break-space", "\n\n", "\n\u00a0\n", refused="expected TOKEN<TAB>TAG"),
    _lines("no-break-space-between", "\t", "\u00a0", refused="expected TOKEN<TAB>TAG"),
    _lines("comma", "\t", ",", refused="expected TOKEN<TAB>TAG"),
    _lines("two-tabs", "\t", "\t\t"),
    _lines("no-blank-line", "\n\n", "\n"),
    _lines("same-id", "IMGID:8", "IMGID:7", refused="stands already in line 1"),
    _lines("empty-token", "flew", "", refused="the token is empty"),
    _lines("line-separator", "flew", "fl\u2028ew", right=[
        ("Anna Bell fl\u2028ew to Oslo", [(0, 9, "PER"), (19, 23, "LOC")]), _TWO[1]]),
    _lines("next-line", "flew", "fl\u0085ew", right=[
        ("Anna Bell fl\u0085ew to Oslo", [(0, 9, "PER"), (19, 23, "LOC")]), _TWO[1]]),
    _lines("zero-width-token", "flew", "\u200b", right=[("Anna Bell \u200b to Oslo", [(0, 9, "PER"), (15, 19, "LOC")]), _TWO[1]]),
    _lines("arabic", "Anna", "أنا", right=[("أنا Bell flew to Oslo", [(0, 8, "PER"), (17, 21, "LOC")]), _TWO[1]]),
    _lines("pieces", "Bell", "##bell", refused="pieces of a model's vocabulary"),
    _lines("pieces-of-sentencepiece", "Anna", "\u2581Anna", refused="pieces of a model's vocabulary"),
    _lines("pieces-of-bytes", "Anna", "\u0120Anna", refused="pieces of a model's vocabulary"),
    _lines("special", "flew", "[CLS]", refused="pieces of a model's vocabulary"),
    _file("lines", "utf-16", columns(*TAGS).encode("utf-16"), refused="UTF-16"),
    _file("lines", "utf-16-no-mark", columns(*TAGS).encode("utf-16-le"), refused="UTF-16"),
    _file("lines", "latin-1", columns(*TAGS).replace("Anna", "Zoé").encode("latin-1"), refused="not UTF-8"),
    _file("lines", "gb18030", columns(*TAGS).replace("Anna", "张伟").encode("gb18030"), refused="not UTF-8"),
    _file("lines", "tokens-alone", "IMGID:7\nAnna\nBell\n", refused="of a file of columns"),
    _file("lines", "brackets", "Anna (PER*\nBell *)\nleft *\n", refused="of a file of columns"),
    _file("columns", "three-differ", "Anna B-ORG B-PER\nleft O O\n", refused="columns 2 and 3 hold tags that differ"),
    _file("columns", "four-differ", "Anna NNP B-PER B-ORG\nleft VBD O O\n", refused="columns 3 and 4"),
    _file("columns", "differ-in-case", "Anna\tB-PER\tB-per\nleft\tO\tO\n", refused="columns 2 and 3"),
    _file("columns", "same", "Anna B-PER B-PER\nleft O O\n", [("Anna left", [(0, 4, "PER")])]),
    _file("columns", "probability-behind", "Anna B-PER 0.9\nleft O 0.8\n", [("Anna left", [(0, 4, "PER")])]),
    _file("columns", "tag-first", "B-PER\tAnna\nO\tleft\n", [("Anna left", [(0, 4, "PER")])]),
    _file("columns", "numbered", "1\tAnna\tB-PER\n2\tleft\tO\n", [("Anna left", [(0, 4, "PER")])]),
    _file("columns", "offsets", "Anna 0 4 B-PER\nleft 5 9 O\n", [("Anna left", [(0, 4, "PER")])]),
    _file("columns", "conll-u", "1\tAnna\t_\tPROPN\tNER=B-PER\n2\tleft\t_\tVERB\tNER=O\n", refused="none of the 5 columns"),
    _file("columns", "range", "1-2\tdu\tO\n1\tde\tO\n2\tle\tO\n", refused="several tokens"),
)  # fmt: skip

VARIANTS = (*TAG_VARIANTS, *HEADER_VARIANTS, *LINE_VARIANTS)
