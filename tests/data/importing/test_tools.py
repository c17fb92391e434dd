"""Exports of tools: told by their keys, and read."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from instruct_mner.data.importing.tools import convention_of, flatten_instruct_uie, of_spacy, tell_layout


@pytest.mark.parametrize(
    ("row", "layout", "convention"),
    [
        (["a", {"entities": []}], "spacy", "characters"),
        ({"data": {"text": "a"}, "annotations": []}, "label-studio", "characters"),
        ({"text": "a", "answer": "reject"}, "prodigy", "characters"),
        ({"text": "a", "answer": ["a"]}, "columns", None),
        ({"text": "a", "answer": {"text": ["a"]}}, "columns", None),
        ({"Instance": {"sentence": "a"}}, "instruct-uie", None),
        ({"text": "a", "ents": []}, "spacy", "characters"),
        ({"messages": []}, "chat", None),
        ({"messages": [], "text": "a"}, "columns", None),
        ({"tokenized_text": ["a"], "ner": []}, "columns", "tokens-inclusive"),
        ({"tokens": ["a"], "entities": [], "relations": []}, "columns", "tokens"),
        ({"text": "a", "label": [[0, 1, "X"]]}, "columns", "characters"),
        ({"text": "a", "entities": [{"start_offset": 0}]}, "columns", "characters"),
        ("a", "columns", None),
    ],
)
def test_layouts_and_their_conventions(row: Any, layout: Any, convention: str | None) -> None:
    assert tell_layout(row) == layout
    assert convention_of(layout, row) == convention


def test_instruct_uie_is_flattened_without_its_doubles() -> None:
    row = {"Task": "NER", "Instance": {"id": 1, "sentence": "a", "entities": [], "labels": "x", "words": ["a"]}}
    assert flatten_instruct_uie(row) == {"Task": "NER", "id": 1, "sentence": "a", "entities": []}
    with pytest.raises(ValueError, match="'Instance' is no object"):
        flatten_instruct_uie({"Instance": 3})


def test_all_forms_of_spacy() -> None:
    [post] = of_spacy(["Anna left", {"entities": [[0, 4, "PER"]], "cats": {"a": 1}, "links": {}}], "f:1", Counter())
    [mark] = post.marks or ()
    assert (post.text, mark.start, mark.end, mark.label, post.meta) == ("Anna left", 0, 4, "PER", {"cats": {"a": 1}})
    [document] = of_spacy(
        {"text": "Anna", "ents": [{"start": 0, "end": 4, "label": "PER", "kb_id": "Q"}]}, "f:1", Counter()
    )
    assert document.unit == "characters"
    assert [(each.start, each.end) for each in document.marks or ()] == [(0, 4)]
    paragraphs = [{"raw": "Anna", "entities": [[0, 4, "PER"]]}, {"raw": "b", "entities": []}]
    assert [each.text for each in of_spacy({"paragraphs": paragraphs}, "f:1", Counter())] == ["Anna", "b"]
    with pytest.raises(ValueError, match="a paragraph without 'raw' and 'entities'"):
        of_spacy({"paragraphs": [{"sentences": []}]}, "f:1", Counter())
    assert of_spacy(["a", {}], "f:1", Counter())[0].marks is None


def test_what_spacy_has_beside_entities_is_told() -> None:
    left_out: Counter[str] = Counter()
    groups = {"sc": [[5, 9, "V"]]}
    ents = [{"start": 0, "end": 4, "label": "PER", "kb_id": "Q1", "id": ""}]
    [pair] = of_spacy(["Anna left", {"entities": [[0, 4, "PER"]], "spans": groups}], "f:1", left_out)
    [document] = of_spacy({"text": "Anna left", "ents": ents, "spans": groups}, "f:2", left_out)
    assert left_out == {"document(s) with span groups beside the entities": 2}
    assert [[(each.label, each.unread) for each in post.marks or ()] for post in (pair, document)] == [
        [("PER", frozenset())],
        [("PER", frozenset({"kb_id"}))],
    ]
    assert (
        of_spacy(["Anna left", {"entities": None, "spans": [[0, 4, "PER"]]}], "f:1", Counter())[0].marks == pair.marks
    )
