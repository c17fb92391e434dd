r"""Argilla: records with responses to a span question, as ``dataset.records.to_json`` of its SDK 2 writes them.

A record (shortened)::

    {"id": "7", "fields": {"text": "Anna left", "image": "data:image/png;base64,…"}, "metadata": {"images": ["7.png"]},
     "suggestions": {"entities": {"value": [{"label": "PER", "start": 0, "end": 4}], "score": [0.9], "agent": "m"}},
     "responses": {"entities": [{"value": [{"label": "PER", "start": 0, "end": 4}], "user_id": "…"}]},
     "status": "completed"}

The page of Argilla counts UTF-16 units, its SDK characters. Spans of a suggestion, accepted ones too, come from the
SDK; behind an emoji the unit of any other is told by the words that it would cut, or the record is refused.

Source: https://docs.argilla.io/latest/how_to_guides/import_export and
https://github.com/argilla-io/argilla/issues/5729 (offsets).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from instruct_mner.data.exporting.argilla import GOLD_AGENT
from instruct_mner.data.importing.generic import to_names
from instruct_mner.data.importing.offsets import span_of
from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.schema.choices import Offsets
from instruct_mner.schema.offsets import can_say

Object = Mapping[str, Any]
Spans = Sequence[Object]
_UNITS: tuple[Offsets, Offsets] = ("characters", "utf-16")
_COMPLETED = "completed"


def of_record(record: Object, where: str, left_out: Counter[str]) -> RawPost:
    """Read a record.

    Args:
        record: The record.
        where: File and row, for messages.
        left_out: Counts of what is not read, which are added to.

    Raises:
        ValueError: It has no text, responses that differ, several span questions, or offsets that can be read in two
            ways.
    """
    fields = {name: value for name, value in record["fields"].items() if value is not None}
    metadata = dict(record.get("metadata") or {})
    pictures = [name for name, value in fields.items() if name != "text" and _is_picture(name, value)]
    text_name = _text_name(fields, pictures)
    named = metadata.pop("images", None)
    if named is None:
        named = [fields[name] for name in pictures]
    text = fields[text_name]
    spans = _spans(record, left_out)
    others = {name: value for name, value in fields.items() if name not in {text_name, *pictures}}
    return RawPost(
        where=where,
        id=record.get("id"),
        text=text,
        marks=None if spans is None else tuple(_mark(each, text, _suggested(record)) for each in spans),
        images=to_names(named),
        meta={**others, **metadata},
    )


def _is_picture(name: str, value: Any) -> bool:
    return isinstance(value, str) and (name.startswith("image") or value.startswith("data:image/"))


def _text_name(fields: Object, pictures: Sequence[str]) -> str:
    texts = [name for name, value in fields.items() if isinstance(value, str) and name not in pictures]
    if "text" in texts:
        return "text"
    if len(texts) != 1:
        raise ValueError(f"which field is the text nobody can tell: {', '.join(fields)}; call it 'text'")
    return texts[0]


def _spans(record: Object, left_out: Counter[str]) -> Spans | None:
    """Return the spans of the submitted response, or of suggestions that are annotations; ``None`` without any."""
    responses = {name: values for name, values in (record.get("responses") or {}).items() if values}
    suggestions = record.get("suggestions") or {}
    if responses and record.get("status") == _COMPLETED:
        question = _span_question({name: [each.get("value") for each in values] for name, values in responses.items()})
        left_out["answer(s) to other questions"] += len(responses) - (question is not None)
        if question is not None:
            return _only_one([each.get("value") or () for each in responses[question]])
    elif responses:
        left_out["record(s) with a response that is not submitted"] += 1
    question = _span_question({name: [each.get("value")] for name, each in suggestions.items()})
    if question is None:
        return None
    if suggestions[question].get("agent") == GOLD_AGENT:
        return suggestions[question]["value"]  # type: ignore[no-any-return]
    left_out["record(s) with suggestions of a model, which are no annotations"] += 1
    return None


def _span_question(values: Mapping[str, Sequence[Any]]) -> str | None:
    questions = [name for name, each in values.items() if each and all(map(_are_spans, each))]
    if len(questions) > 1:
        raise ValueError(f"which of the span questions {', '.join(questions)} holds the entities nobody can tell; "
                         "export one of them")  # fmt: skip
    return questions[0] if questions else None


def _are_spans(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and {"label", "start", "end"} <= each.keys() for each in value
    )


def _only_one(values: Sequence[Spans]) -> Spans:
    distinct = {tuple(sorted((each["start"], each["end"], each["label"]) for each in spans)) for spans in values}
    if len(distinct) > 1:
        raise ValueError(f"the record has {len(distinct)} responses that differ; keep one of each record")
    return values[0]


def _suggested(record: Object) -> set[tuple[int, int]]:
    values = [each.get("value") for each in (record.get("suggestions") or {}).values()]
    return {(span["start"], span["end"]) for value in values if _are_spans(value) for span in value}


def _mark(span: Object, text: str, suggested: set[tuple[int, int]]) -> Mark:
    raw = Mark(start=span["start"], end=span["end"], surface=None, label=span["label"])
    if (raw.start, raw.end) in suggested:
        return raw
    post = RawPost(where="", text=text)
    read = {unit: bounds for unit in _UNITS if (bounds := span_of(raw, post, unit)) is not None}
    if len(set(read.values())) > 1:
        whole = {unit: bounds for unit, bounds in read.items() if can_say(text, *bounds)}
        if len(whole) != 1:
            ways = " or ".join(f"{text[slice(*bounds)]!r} ({unit})" for unit, bounds in read.items())
            raise ValueError(
                f"the offsets {raw.start} to {raw.end}, behind an emoji, read as {ways}, and nothing tells which; "
                "correct them in the file"
            )
        read = whole
    if not read:
        return raw
    [start, end] = next(iter(read.values()))
    return Mark(start=start, end=end, surface=text[start:end], label=raw.label)
