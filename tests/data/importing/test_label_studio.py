"""Tasks of Label Studio: spans, rectangles and whose they are."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from instruct_mner.data.importing.label_studio import of_task
from instruct_mner.schema.records import Box

TEXT = "Anna met Eve in Oslo"


def span(key: str, surface: str, label: str) -> dict[str, Any]:
    start = TEXT.index(surface)
    value = {"start": start, "end": start + len(surface), "text": surface, "labels": [label]}
    return {"id": key, "type": "labels", "value": value}


def rectangle(label: str, key: str = "r", **more: Any) -> dict[str, Any]:
    value = {"x": 5, "y": 20, "width": 25, "height": 90, "rectanglelabels": [label]}
    sides = {"original_width": 200, "original_height": 50}
    return {"id": key, "type": "rectanglelabels", "value": value, **sides, **more}


def task(*results: dict[str, Any], **data: Any) -> dict[str, Any]:
    whole = {"text": TEXT, "image": "/data/upload/7-a.png", **data}
    return {"id": 5, "data": whole, "annotations": [{"result": list(results)}]}


def boxes(*results: dict[str, Any]) -> list[tuple[str, str | None, Any]]:
    return [(mark.label, mark.surface, mark.boxes) for mark in of_task(task(*results), "f:1").marks or ()]


def test_a_task_is_a_post_with_its_other_fields() -> None:
    post = of_task(task(span("a", "Anna", "PER"), lang="en"), "f:1")
    assert (post.id, post.text, post.images, post.meta) == (5, TEXT, ("/data/upload/7-a.png",), {"lang": "en"})
    [mark] = post.marks or ()
    assert (mark.start, mark.end, mark.surface, mark.label, mark.boxes) == (0, 4, "Anna", "PER", None)
    assert of_task({"data": {"text": "x"}, "annotations": []}, "f:1").marks is None
    cancelled = {**task(), "annotations": [{"was_cancelled": True}, {"result": []}]}
    assert of_task(cancelled, "f:1").marks == ()


def test_a_rectangle_in_per_cent_is_a_box_in_pixels_of_the_only_mention_of_its_label() -> None:
    # 5 % and 30 % of 200, 20 % of 50, and 110 % of 50, which is cut at the edge of the picture.
    box = Box(box=(10, 10, 60, 50))
    assert boxes(span("a", "Anna", "PER"), span("b", "Oslo", "LOC"), rectangle("PER")) == [
        ("PER", "Anna", (box,)),
        ("LOC", "Oslo", None),
    ]


def test_of_two_mentions_a_relation_tells_whose_the_rectangle_is() -> None:
    relation = {"type": "relation", "from_id": "r", "to_id": "b"}
    both = [span("a", "Anna", "PER"), span("b", "Eve", "PER")]
    assert [found is None for _, _, found in boxes(*both, rectangle("PER"), relation)] == [True, False]
    with pytest.raises(ValueError, match="to which of 2 mentions a rectangle with the label 'PER' belongs"):
        boxes(*both, rectangle("PER"))


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ([rectangle("PER", original_width=None)], "has no original_width and original_height"),
        ([rectangle("PER", image_rotation=90)], "a picture that was turned"),
        ([{"type": "brush", "value": {}}], "results of the type brush cannot be read"),
        ([{"type": "labels", "value": {"text": "x", "labels": ["A", "B"]}}], "the span 'x' has 2 labels"),
    ],
)
def test_results_that_cannot_be_read(results: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        boxes(span("a", "Anna", "PER"), *results)


def test_results_of_other_kinds_are_no_obstacle() -> None:
    others: list[dict[str, Any]] = [{"type": kind, "value": {}} for kind in ("choices", "textarea", "rating")]
    assert boxes(span("a", "Anna", "PER"), *others) == [("PER", "Anna", None)]


def test_two_annotators_and_two_texts_are_questions() -> None:
    with pytest.raises(ValueError, match="the task has 2 annotations"):
        of_task({**task(), "annotations": [{"result": []}, {"result": []}]}, "f:1")
    with pytest.raises(ValueError, match="which field of 'data' is the text nobody can tell: title, body"):
        of_task({"data": {"title": "a b", "body": "c d"}}, "f:1")


@pytest.mark.parametrize(
    ("data", "images", "meta"),
    [
        ({"image": "https://pbs.twimg.com/media/Dab?format=jpg&name=large"}, 1, {}),
        ({"my_photo": "https://x.com/media/Dab", "link": "https://x.com/1"}, 1, {"link": "https://x.com/1"}),
        ({"image": "Dab", "image_id": "17"}, 1, {"image_id": "17"}),
        ({"image": "a.png", "image_id": "17"}, 1, {"image_id": "17"}),
        ({"images": ["a.png", "https://x.com/b.jpg?x=1"]}, 2, {}),
        ({"image": "data:image/png;base64,AAAA"}, 1, {}),
        ({"image": "a sunset", "link": "https://x.com/1"}, 0, {"image": "a sunset", "link": "https://x.com/1"}),
    ],
)
def test_a_picture_is_told_by_its_ending_its_name_or_its_bytes(
    data: dict[str, Any], images: int, meta: dict[str, Any]
) -> None:
    post = of_task({"data": {"text": TEXT, **data}}, "f:1")
    assert (len(post.images), post.meta) == (images, meta)


def test_what_a_rectangle_is_drawn_on_is_a_picture() -> None:
    drawn = rectangle("PER", to_name="bild")
    other = {"data": {"post": TEXT, "bild": "https://x.com/media/7"}}
    [mark] = of_task({**task(span("a", "Anna", "PER"), drawn), **other}, "f:1").marks or ()
    assert mark.boxes == (Box(box=(10, 10, 60, 50)),)


def test_a_span_on_another_field_is_no_entity_of_the_text() -> None:
    elsewhere = {**span("t", "Anna", "LOC"), "to_name": "title"}
    left_out: Counter[str] = Counter()
    one = task(elsewhere, {**span("o", "Oslo", "LOC"), "to_name": "text"}, title="Anna was there")
    assert [mark.surface for mark in of_task(one, "f:1", left_out).marks or ()] == ["Oslo"]
    assert +left_out == {"span(s) on 'title', which is not the text": 1}
    # A control need not be called as its field; `title` is one of the text where its words do not stand in the title.
    for other in ({}, {"title": "nobody"}):
        [mark] = of_task(task(elsewhere, **other), "f:1").marks or ()
        assert mark.surface == "Anna"
    both = [{**span("a", "Anna", "PER"), "to_name": "headline"}, {**span("e", "Eve", "PER"), "to_name": "body"}]
    with pytest.raises(ValueError, match="spans on headline and body, and which of them are of 'text' nobody can tell"):
        of_task(task(*both), "f:1")


def test_results_of_one_region_are_read_together() -> None:
    assert boxes(span("a", "Anna", "PER"), span("a", "Eve", "PER"), span("a", "Eve", "PER")) == [
        ("PER", "Anna", None),
        ("PER", "Eve", None),
    ]
    with pytest.raises(ValueError, match="the span 'Anna' has the labels 'PER' and 'NEG', of two controls; keep those"):
        boxes(span("a", "Anna", "PER"), span("a", "Anna", "NEG"))


def test_a_rectangle_that_is_related_to_more_or_other_than_a_mention_is_refused() -> None:
    pairs: list[dict[str, Any]] = [{"type": "relation", "from_id": "r", "to_id": key} for key in ("a", "b")]
    both = [span("a", "Anna", "PER"), span("b", "Eve", "PER")]
    with pytest.raises(ValueError, match="a rectangle is related to 2 mentions; relate it to one of them"):
        boxes(*both, rectangle("PER"), *pairs)
    title = {**span("b", "Eve", "PER"), "to_name": "title"}
    with pytest.raises(ValueError, match="a rectangle is related to a span that is not of the text"):
        of_task(task(both[0], title, rectangle("PER"), pairs[1], title="Eve left"), "f:1")
    two = rectangle("PER")
    two["value"]["rectanglelabels"] = ["PER", "LOC"]
    with pytest.raises(ValueError, match="a rectangle has 2 labels; give it one"):
        boxes(both[0], two)


def test_drafts_and_relations_between_mentions_are_counted() -> None:
    left_out: Counter[str] = Counter()
    both = [span("a", "Anna", "PER"), span("b", "Eve", "PER")]
    drawn: dict[str, Any] = {"type": "relation", "from_id": "a", "to_id": "r"}
    between: dict[str, Any] = {"type": "relation", "from_id": "a", "to_id": "b", "labels": ["met"]}
    drafts = [{"result": both}, {"result": []}]
    skipped = {"was_cancelled": True, "result": both}
    one = task(*both, rectangle("PER"), drawn, between)
    of_task({**one, "annotations": [*one["annotations"], skipped], "drafts": drafts}, "f:1", left_out)
    assert left_out == {
        "relation(s) between mentions": 1, "draft(s), which nobody submitted": 1, "annotation(s) of skipped tasks": 1,
    }  # fmt: skip


def test_notes_and_scores_of_regions_are_told() -> None:
    noted = {**span("a", "Anna", "PER"), "meta": {"text": ["sure?"]}, "origin": "manual", "score": None}
    [mark] = of_task(task(noted, rectangle("PER", score=0.9)), "f:1").marks or ()
    assert mark.unread == {"meta", "score"}


def test_a_line_break_within_a_span_is_written_as_two_characters() -> None:
    value = {"start": 0, "end": 9, "text": "Anna\\nBell", "labels": ["PER"]}
    result = {"id": "a", "type": "labels", "value": value, "to_name": "title"}
    one = {"data": {"text": "Anna\nBell left"}, "annotations": [{"result": [result]}]}
    assert [mark.surface for mark in of_task(one, "f:1").marks or ()] == ["Anna\nBell"]
    left_out: Counter[str] = Counter()
    other = {**one, "data": {"text": "Eve left", "title": "Anna\nBell left"}}
    assert of_task(other, "f:1", left_out).marks == ()
    assert left_out == {"span(s) on 'title', which is not the text": 1}
    literal = {**one, "data": {"text": "Anna\\nBell left"}}
    assert [mark.surface for mark in of_task(literal, "f:1").marks or ()] == ["Anna\\nBell"]


def test_pictures_of_local_storage_are_told_by_their_path() -> None:
    data = {"text": TEXT, "foto": "/data/local-files/?d=pics/7.jpg"}
    post = of_task({"data": data}, "f:1")
    assert (post.images, post.meta) == (("/data/local-files/?d=pics/7.jpg",), {})
