"""Offsets of another unit, convention or spelling."""

from __future__ import annotations

from typing import Any

from door_variants import ANNA, ENTITIES, OSLO, TOKENS, Content, Gold, Variant, entity, post, rows

KIND = "offsets"
_GOLD: Gold = [(ANNA, list(ENTITIES))]
_SECOND: Gold = [(OSLO, [(9, 13, "LOC")])]
_NAMED = {"label": "LOC", "text": "Oslo"}


def _read(name: str, content: Content, right: Gold, note: str | None = None) -> Variant:
    return Variant(kind=KIND, name=name, content=content, right=right, note=note)


def _refused(name: str, content: Content, word: str) -> Variant:
    return Variant(kind=KIND, name=name, content=content, refused=word)


def _tokens(*pairs: tuple[int, int], more: tuple[str, ...] = ()) -> str:
    marked = [entity(*pair, label) for pair, label in zip(pairs, ("PER", "LOC"), strict=False)]
    return rows({"id": "1", "tokens": [*TOKENS, *more], "entities": marked})


def _second(**fields: Any) -> str:
    return rows(post(OSLO, {**_NAMED, **fields}))


VARIANTS = (
    _read("tokens", _tokens((0, 2), (4, 5)), _GOLD, "read as tokens"),
    _read("tokens-inclusive", _tokens((0, 1), (4, 4)), _GOLD, "tokens-inclusive"),
    _read("tokens-one", _tokens((4, 5)), [(ANNA, [(18, 22, "PER")])], "read as tokens"),
    _refused("tokens-either", _tokens((0, 1)), "tokens or tokens-inclusive"),
    _refused("tokens-from-1", _tokens((1, 3), (5, 6)), "however the offsets are read"),
    _refused("mixed-units", rows(
        {"id": "1", "tokens": TOKENS, "entities": [entity(0, 2, "PER")]},
        {"id": "2", "tokens": TOKENS, "entities": [entity(0, 9, "PER")]}), "however the offsets are read"),
    _read("inclusive-in-one-of-21", rows(*({**post(ANNA, entity(0, 9 if n else 8, "PER")), "id": n} for n in range(21))),
          [(ANNA, [(0, 9 if n else 8, "PER")]) for n in range(21)], "1 of 21 gold mentions can be said by no answer"),
    _read("characters-inclusive", rows(post(ANNA, entity(0, 8, "PER"), entity(18, 21, "LOC"))), _GOLD, "inclusive"),
    _refused("from-1", rows(post(ANNA, entity(1, 10, "PER"), entity(19, 23, "LOC"))), "fit neither"),
    _refused("from-1-inclusive", rows(post(ANNA, entity(1, 9, "PER"), entity(19, 22, "LOC"))), "however"),
    _refused("negative", rows(post(ANNA, entity(-4, 22, "LOC"))), "fit neither"),
    _read("utf-16", rows(post(f"😀 {ANNA}", entity(3, 12, "PER", text="Anna Bell"), entity(21, 25, "LOC", text="Oslo"))),
          [(f"😀 {ANNA}", [(2, 11, "PER"), (20, 24, "LOC")])], "read as utf-16"),
    _read("bytes", rows(post(f"é {ANNA}", entity(3, 12, "PER", text="Anna Bell"), entity(21, 25, "LOC", text="Oslo"))),
          [(f"é {ANNA}", [(2, 11, "PER"), (20, 24, "LOC")])], "read as bytes"),
    _read("surrogate-pair", '{"id": 1, "text": "\\ud83d\\ude00 Oslo", "entities": [{"start": 2, "end": 6, "label": "X"}]}\n',
          [("😀 Oslo", [(2, 6, "X")])]),
    _read("right-to-left", rows(post("زارت آنا أوسلو", entity(9, 14, "LOC", text="أوسلو"))),
          [("زارت آنا أوسلو", [(9, 14, "LOC")])]),
    _refused("composed-otherwise", rows(post("Zoe\u0301 left", entity(0, 3, "PER", text="Zo\u00e9"))), "fit neither"),
    _read("decomposed", rows(post("Zoe\u0301 left", entity(0, 4, "PER", text="Zoe\u0301"))), [("Zoe\u0301 left", [(0, 4, "PER")])]),
    _read("zero-width", rows(post("\u200bOslo", entity(1, 5, "LOC", text="Oslo"))), [("\u200bOslo", [(1, 5, "LOC")])]),
    _read("digits", rows(post(ANNA, entity("0", "9", "PER"), entity("18", "22", "LOC"))), _GOLD),
    _read("digits-and-text", rows({"id": 1, "sentence": OSLO, "mentions": [entity("9", "13", "LOC", text="Oslo")]}), _SECOND),
    _read("floats", rows(post(ANNA, entity(0.0, 9.0, "PER"), entity(18.0, 22.0, "LOC"))), _GOLD),
    _read("floats-and-text", rows({"id": 1, "sentence": OSLO, "mentions": [entity(9.0, 13.0, "LOC", text="Oslo")]}), _SECOND),
    _refused("half", rows(post(ANNA, entity(0.5, 9, "PER"))), "needs start, end"),
    _read("offset-and-length", _second(offset=9, length=4), _SECOND),
    _read("start-and-length", _second(start=9, length=4), _SECOND),
    _refused("start-alone", _second(start=9), "needs start, end"),
    _read("object", _second(span={"start": 9, "end": 13}), _SECOND),
    _read("pair", _second(indices=[9, 13]), _SECOND),
    _refused("unknown-pair", _second(location=[9, 13]), "'location' of an entity looks like its offsets"),
    _refused("unknown-object", _second(where={"begin": 9, "end": 13}), "'where' of an entity looks like its offsets"),
    _read("text-alone", _second(), [(OSLO, [(0, 4, "LOC")])], "the first places were taken"),
    _refused("text-elsewhere", rows(post(ANNA, {"label": "LOC", "text": "oslo"})), "does not stand in the text"),
    _read("label-first", rows({"id": 1, "text": ANNA, "label": [["PER", 0, 9], ["LOC", 18, 22]]}), _GOLD),
    _refused("triples-of-digits", rows({"id": 1, "text": ANNA, "label": [["PER", "0", "9"]]}), "neither an object nor"),
    _refused("spans-by-label", rows({"id": 1, "text": ANNA, "label": {"PER": [[0, 9]]}}), "are no list of texts"),
    _read("cluener", rows({"text": "我去北京", "label": {"address": {"北京": [[2, 3]]}}}),
          [("我去北京", [(2, 4, "address")])], "characters-inclusive"),
    _refused("cluener-place", rows({"text": OSLO, "label": {"LOC": {"Oslo": [9, 13]}}}), "no list of .start, end."),
    _read("comprehend", rows({"Text": OSLO, "Entities": [{"BeginOffset": 9, "EndOffset": 13, "Type": "LOC", "Score": 1}]}),
          _SECOND, "left out: Score"),
    _read("w2ner", rows({"sentence": TOKENS, "ner": [{"index": [0, 1], "type": "PER"}, {"index": [4], "type": "LOC"}]}),
          _GOLD, "tokens from 'sentence'"),
    _read("w2ner-text", rows({"text": ANNA, "ner": [{"index": [0, 1], "type": "PER"}, {"index": [4], "type": "LOC"}]}), _GOLD),
    _refused("w2ner-apart", rows({"sentence": TOKENS, "ner": [{"index": [0, 4], "type": "PER"}]}), "do not follow each other"),
    _read("text-of-tokens", rows({"text": TOKENS, "labels": ["B-PER", "I-PER", "O", "O", "B-LOC"]}), _GOLD, "tokens from 'text'"),
    _refused("label-by-text", rows({"id": 1, "text": ANNA, "entities": {"Oslo": "LOC"}}), "the entities are no list"),
    _refused("null-entity", rows(post(ANNA, None)), "neither an object nor"),
    _refused("space-at-the-edge", rows(post(ANNA, entity(0, 10, "PER"), entity(18, 22, "LOC"))), "however"),
    _refused("overlapping", rows(post(ANNA, entity(0, 9, "PER"), entity(0, 4, "PER"))), "overlaps"),
    _refused("twice", rows(post(ANNA, entity(0, 9, "PER"), entity(0, 9, "PER"))), "overlaps"),
    _read("further-fields", rows(post(ANNA, entity(0, 9, "PER", score=0.5, links=["Q1"]), entity(18, 22, "LOC"))), _GOLD,
          "left out: links, score"),
)  # fmt: skip
