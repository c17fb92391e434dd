r"""Label Studio: tasks with spans of a text and rectangles on a picture, in per cent of its sides.

A task (shortened)::

    {"id": 5, "data": {"text": "Anna Bell flew to Oslo", "image": "/data/upload/7-a.png"}, "annotations": [{"result": [
      {"type": "labels", "value": {"start": 0, "end": 9, "text": "Anna Bell", "labels": ["PER"]}},
      {"type": "rectanglelabels", "original_width": 200, "original_height": 100,
       "value": {"x": 5, "y": 20, "width": 25, "height": 60, "rectanglelabels": ["PER"]}}]}]}

A picture is a field whose value ends as a picture does or is one (``data:image/…``), on which a rectangle is drawn
(``to_name``), or whose name says so: an address tells nothing (``https://pbs.twimg.com/media/Dab?format=jpg``).

A rectangle belongs to the mention that a relation names, else to the only mention of its label.

A span names the control that it was drawn on (``to_name``), which is often, but not always, called as its field.

Source: https://labelstud.io/guide/export and https://labelstud.io/tags/rectanglelabels
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from instruct_mner.data.importing.generic import to_names
from instruct_mner.data.importing.looks import looks_like
from instruct_mner.data.importing.picture_names import of_local_storage
from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.data.importing.roles import IMAGE_NAMES
from instruct_mner.data.picture_files import PICTURE_SUFFIXES
from instruct_mner.schema.records import Box

Result = Mapping[str, Any]
# Id of a region, which spans of several controls may share, and its offsets.
_Key = tuple[str, int | None, int | None]
# Label Studio numbers tasks anew; this field, which `convert` writes, keeps the id of the post.
_ID = "post_id"
_BYTES = "data:image/"
_SPANS = ("labels", "hypertextlabels")
_UNREAD = frozenset({"choices", "textarea", "rating"})
_OTHER_TYPES = frozenset({"rectanglelabels", "relation", "choices", "textarea", "rating"})
# Fields of a result that say where and how it was drawn; all others hold something of the annotator or of a model.
_OF_DRAWING = frozenset({
    "id", "type", "value", "from_name", "to_name", "origin", "original_width", "original_height", "image_rotation",
    "readonly", "hidden", "locked", "selected", "item_index", "parentID",
})  # fmt: skip


def of_task(task: Mapping[str, Any], where: str, left_out: Counter[str] | None = None) -> RawPost:
    """Read a task.

    Args:
        task: The task.
        where: File and row, for messages.
        left_out: Counts of the kinds of results that are not read, which are added to.

    Raises:
        ValueError: It has no text, several annotators, spans of which nobody can tell which are the text's, or a
            rectangle that belongs to no mention.
    """
    data = task["data"]
    results = _results(task)
    pictures = _pictures(data, results or ())
    text_name = _text_name(data, pictures)
    images = tuple(name for each in pictures for name in to_names(data[each]))
    elsewhere = _elsewhere(results or (), data, text_name)
    marks = None if results is None else _marks(results, data[text_name], images, elsewhere)
    if left_out is not None:
        left_out.update(f"span(s) on {each['to_name']!r}, which is not the text" for each in elsewhere)
        left_out.update(_unread(task, results or ()))
    return RawPost(
        where=where,
        id=data.get(_ID, task.get("id")),
        text=data[text_name],
        marks=marks,
        images=images,
        meta={name: value for name, value in data.items() if name not in {_ID, text_name, *pictures}},
    )


def _pictures(data: Mapping[str, Any], results: Sequence[Result]) -> list[str]:
    """Return the fields of the pictures."""
    drawn = {each.get("to_name") for each in results if each["type"] == "rectanglelabels"} - {"text"}
    told = [
        name
        for name, value in data.items()
        if _is_picture(value)
        or (name in drawn and _is_word(value))
        or (_is_word(value) and "://" in str(value) and looks_like(name) == "a picture")
    ]
    return told or [name for name in IMAGE_NAMES if _is_word(data.get(name))][:1]


def _text_name(data: Mapping[str, Any], pictures: Sequence[str]) -> str:
    texts = [name for name, value in data.items() if isinstance(value, str) and name not in pictures]
    if "text" in texts:
        return "text"
    if len(texts) != 1:
        raise ValueError(f"which field of 'data' is the text nobody can tell: {', '.join(data)}; call it 'text'")
    return texts[0]


def _is_picture(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(
        _is_word(name)
        and (of_local_storage(name).lower().partition("?")[0].endswith(PICTURE_SUFFIXES) or name.startswith(_BYTES))
        for name in names
    )


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not any(map(str.isspace, value[:1000]))


def _annotations(task: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return task.get("annotations", task.get("completions")) or []


def _results(task: Mapping[str, Any]) -> Sequence[Result] | None:
    made = [each for each in _annotations(task) if not each.get("was_cancelled")]
    if len(made) > 1:
        raise ValueError(f"the task has {len(made)} annotations; export one of each task")
    return made[0].get("result", []) if made else None


def _unread(task: Mapping[str, Any], results: Sequence[Result]) -> Iterator[str]:
    """Yield the kind of each thing in a task that is not read."""
    rectangles = {str(each.get("id")) for each in results if each["type"] == "rectanglelabels"}
    for each in results:
        if each["type"] in _UNREAD:
            yield f"result(s) of the type {each['type']}"
        elif each["type"] == "relation" and not {str(each.get("from_id")), str(each.get("to_id"))} & rectangles:
            yield "relation(s) between mentions"
    for each in task.get("drafts") or ():
        if not isinstance(each, Mapping) or each.get("result"):
            yield "draft(s), which nobody submitted"
    annotations = _annotations(task)
    yield from (
        "annotation(s) of skipped tasks" for each in annotations if each.get("was_cancelled") and each.get("result")
    )
    if task.get("predictions") and all(each.get("was_cancelled") for each in annotations):
        yield "task(s) with predictions of a model, which are no annotations"


def _elsewhere(results: Sequence[Result], data: Mapping[str, Any], text_name: str) -> list[Result]:
    """Return the spans of fields other than the text.

    Raises:
        ValueError: The others are of several controls, so that not all can be of the text.
    """
    spans = [each for each in results if each["type"] in _SPANS]
    elsewhere = [each for each in spans if _is_on_another(each, data, text_name)]
    controls = {each["to_name"]: None for each in spans if each not in elsewhere and each.get("to_name") is not None}
    if len(controls) > 1:
        raise ValueError(
            f"the task has spans on {' and '.join(controls)}, and which of them are of {text_name!r} nobody can tell; "
            "name the text in the interface of Label Studio as its field, or take the other spans out"
        )
    return elsewhere


def _is_on_another(span: Result, data: Mapping[str, Any], text_name: str) -> bool:
    target, surface = str(span.get("to_name")), span["value"].get("text")
    other = data.get(target) if target != text_name else None
    return isinstance(other, str) and (surface is None or _with_line_breaks(surface, other) in other)


def _with_line_breaks(surface: str, text: str) -> str:
    """Return the words of a span with the line breaks of a text, which are written as a backslash and an ``n``.

    Source: ``selection-tools.js`` of https://github.com/HumanSignal/label-studio
    """
    return surface if surface in text else surface.replace("\\n", "\n")


def _marks(
    results: Sequence[Result], text: str, images: Sequence[str], elsewhere: Sequence[Result]
) -> tuple[Mark, ...]:
    rectangles = [each for each in results if each["type"] == "rectanglelabels"]
    others = {each["type"] for each in results} - {*_SPANS, *_OTHER_TYPES}
    if others:
        raise ValueError(f"results of the type {', '.join(sorted(others))} cannot be read; export spans and rectangles")
    spans: dict[_Key, Mark] = {}
    for number, each in enumerate(results):
        if each["type"] in _SPANS and each not in elsewhere:
            mark = _mark(each, text)
            same = spans.setdefault((str(each.get("id", number)), mark.start, mark.end), mark)
            if same.label != mark.label:
                raise ValueError(
                    f"the span {mark.surface!r} has the labels {same.label!r} and {mark.label!r}, of two controls; "
                    "keep those of one"
                )
    relations = [each for each in results if each["type"] == "relation"]
    of_others = {str(each["id"]) for each in elsewhere if "id" in each}
    for rectangle in rectangles:
        key = _owner(rectangle, spans, relations, of_others)
        boxes = (*(spans[key].boxes or ()), _box(rectangle, images))
        spans[key] = replace(spans[key], boxes=boxes, unread=spans[key].unread | _other_fields(rectangle))
    return tuple(spans.values())


def _mark(result: Result, text: str) -> Mark:
    value = result["value"]
    label = _only_label(result, f"the span {value.get('text')!r}")
    start, end = value.get("start"), value.get("end")
    if type(start) is not int or type(end) is not int:
        start, end = value.get("globalOffsets", {}).get("start"), value.get("globalOffsets", {}).get("end")
    surface = value.get("text")
    if isinstance(surface, str):
        surface = _with_line_breaks(surface, text)
    return Mark(start=start, end=end, surface=surface, label=label, unread=_other_fields(result))


def _other_fields(result: Result) -> frozenset[str]:
    """Return the filled fields of a result that are not read, such as a note (``meta``) or a ``score``."""
    return frozenset(name for name, value in result.items() if name not in _OF_DRAWING and value not in (None, {}, []))


def _only_label(result: Result, name: str) -> Any:
    value = result["value"]
    labels = value.get(result["type"]) or value.get("labels") or []
    if len(labels) != 1:
        raise ValueError(f"{name} has {len(labels)} labels; give it one")
    return labels[0]


def _owner(rectangle: Result, spans: Mapping[_Key, Mark], relations: Sequence[Result], of_others: set[str]) -> _Key:
    """Return the mention of a rectangle.

    Args:
        rectangle: The rectangle.
        spans: Mentions by the ids of their regions and their offsets.
        relations: Relations of the task.
        of_others: Ids of spans on other fields.

    Raises:
        ValueError: Nobody can tell, or it is a span of another field.
    """
    own = str(rectangle.get("id", ""))
    pairs = [{str(each.get("from_id")), str(each.get("to_id"))} for each in relations]
    partners = {other for pair in pairs if own in pair for other in pair - {own}}
    related = [key for key in spans if key[0] in partners]
    if len(related) > 1:
        raise ValueError(f"a rectangle is related to {len(related)} mentions; relate it to one of them")
    if related:
        return related[0]
    if partners & of_others:
        raise ValueError("a rectangle is related to a span that is not of the text; relate it to a mention of the text")
    label = _only_label(rectangle, "a rectangle")
    same = [key for key, mark in spans.items() if mark.label == label]
    if len(same) != 1:
        raise ValueError(
            f"to which of {len(same)} mentions a rectangle with the label {label!r} belongs nobody can tell; relate it "
            "to its mention in Label Studio"
        )
    return same[0]


def _box(rectangle: Result, images: Sequence[str]) -> Box:
    value = rectangle["value"]
    width, height = rectangle.get("original_width"), rectangle.get("original_height")
    if not width or not height:
        raise ValueError("a rectangle has no original_width and original_height, so that its pixels are not known")
    if value.get("rotation"):
        raise ValueError("a rectangle is rotated; draw it upright")
    if rectangle.get("image_rotation"):
        raise ValueError("a rectangle was drawn on a picture that was turned; turn it back, and draw it again")
    if len(images) != 1:
        raise ValueError(f"a rectangle in a task with {len(images)} pictures; which one it is on nobody can tell")
    x0, y0 = value["x"] * width / 100, value["y"] * height / 100
    x1, y1 = (value["x"] + value["width"]) * width / 100, (value["y"] + value["height"]) * height / 100
    box = tuple(round(side, 2) for side in (x0, y0, min(x1, width), min(y1, height)))
    return Box(box=tuple(int(side) if float(side).is_integer() else side for side in box))
