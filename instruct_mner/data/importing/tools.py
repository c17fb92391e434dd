r"""Exports of annotation tools and of other projects, told by their keys.

A row of each (shortened)::

    Label Studio   {"data": {"text": "Anna left", "image": "/data/upload/7.png"}, "annotations": [{"result": [
                    {"type": "labels", "value": {"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]}}]}]}
    Argilla        {"fields": {"text": "Anna left"}, "responses": {"entities": [{"value": [
                    {"start": 0, "end": 4, "label": "PER"}]}]}, "status": "completed"}
    Prodigy        {"text": "Anna left", "spans": [{"start": 0, "end": 4, "label": "PER"}], "answer": "accept"}
    spaCy          ["Anna left", {"entities": [[0, 4, "PER"]]}]
    InstructUIE    {"Instance": {"sentence": "Anna left", "entities": [{"name": "Anna", "type": "PER", "pos": [0, 4]}]}}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from instruct_mner.data.importing import coco
from instruct_mner.data.importing.marks import to_marks
from instruct_mner.data.importing.posts import RawPost
from instruct_mner.schema.choices import ImportLayout, Offsets

CHAT_KEYS = frozenset({"messages", "conversations", "conversation", "query", "instruction"})
_ANSWERS = frozenset({"accept", "reject", "ignore"})


def tell_layout(row: Any) -> ImportLayout:  # noqa: PLR0911 (a return for each layout)
    """Tell the layout of a row by its keys."""
    if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict):
        return "spacy"
    if not isinstance(row, dict):
        return "columns"
    if isinstance(row.get("data"), dict) and row.keys() & {"annotations", "completions", "predictions"}:
        return "label-studio"
    if isinstance(row.get("fields"), dict) and row.keys() & {"responses", "suggestions"}:
        return "argilla"
    if (isinstance(row.get("answer"), str) and row["answer"] in _ANSWERS) or row.keys() & {"_input_hash", "_task_hash"}:
        return "prodigy"
    if "Instance" in row:
        return "instruct-uie"
    if row.keys() >= coco.KEYS:
        return "coco"
    if "paragraphs" in row or (isinstance(row.get("ents"), list) and "text" in row):
        return "spacy"
    if row.keys() & CHAT_KEYS and not row.keys() & {"text", "tokens", "sentence", "words"}:
        return "chat"
    return "columns"


def convention_of(layout: ImportLayout, row: Any) -> Offsets | None:
    """Return the unit of offsets that the tool documents, or ``None``.

    Source: https://labelstud.io/guide/export, https://prodi.gy/docs/api-interfaces#spans, https://spacy.io/api/data-formats,
    https://github.com/doccano/doccano, https://github.com/lavis-nlp/spert, https://github.com/urchade/GLiNER.
    """
    if layout in {"label-studio", "argilla", "prodigy", "spacy"}:
        return "characters"
    if not isinstance(row, dict):
        return None
    if "tokenized_text" in row and "ner" in row:
        return "tokens-inclusive"
    if "tokens" in row and "relations" in row:
        return "tokens"
    label = row.get("label", row.get("labels"))
    triples = isinstance(label, list) and all(isinstance(each, list) and len(each) == 3 for each in label)
    entities = row.get("entities")
    doccano = isinstance(entities, list) and any(isinstance(each, dict) and "start_offset" in each for each in entities)
    return "characters" if "tokens" not in row and ((triples and label is not None) or doccano) else None


def flatten_instruct_uie(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of InstructUIE as one of columns."""
    instance = row["Instance"]
    if not isinstance(instance, dict):
        raise ValueError("'Instance' is no object")
    columns = dict(instance)
    if "entities" in columns:
        columns.pop("labels", None)  # the same entities, as one string
        columns.pop("words", None)
    return {**{key: value for key, value in row.items() if key != "Instance"}, **columns}


def of_spacy(row: Any, where: str, left_out: Counter[str]) -> list[RawPost]:
    """Read a training tuple, a document of version 2 or one of version 3.

    Args:
        row: The row.
        where: File and row, for messages.
        left_out: Counts of what is not read, which are added to.

    Raises:
        ValueError: It is none of them.
    """
    if "paragraphs" in row:
        return [_of_paragraph(each, where) for each in row["paragraphs"]]
    unit: Offsets | None = None if isinstance(row, list) else "characters"
    if isinstance(row, list):
        text, annotations = row
        read = "spans" if annotations.get("entities") is None else "entities"
        entities = annotations.get(read)
        meta = {key: value for key, value in annotations.items() if key not in {"entities", "spans"} and value}
    else:
        text, annotations, read, entities = row["text"], row, "ents", row["ents"]
        meta = {key: row[key] for key in ("cats", "meta") if row.get(key)}
    left_out["document(s) with span groups beside the entities"] += read != "spans" and bool(annotations.get("spans"))
    marks = None if entities is None else to_marks(_without_empty(entities))
    return [RawPost(where=where, text=text, marks=marks, meta=meta, unit=unit)]


def _without_empty(entities: Any) -> Any:
    """Return entities without the fields that spaCy leaves empty, such as the id of a knowledge base."""
    if not isinstance(entities, list):
        return entities
    return [
        {key: value for key, value in each.items() if value != ""} if isinstance(each, dict) else each
        for each in entities
    ]


def _of_paragraph(paragraph: Mapping[str, Any], where: str) -> RawPost:
    if "entities" in paragraph and "raw" in paragraph:
        return RawPost(where=where, text=paragraph["raw"], marks=to_marks(paragraph["entities"]))
    raise ValueError("a paragraph without 'raw' and 'entities'; convert it with spaCy (Example.to_dict) to tuples")
