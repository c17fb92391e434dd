r"""Prodigy: rows with spans and an answer, several of one input where several people annotated it.

Rows of two people (shortened)::

    {"text": "Anna left", "spans": [{"start": 0, "end": 4, "label": "PER"}], "answer": "accept", "_input_hash": 7,
     "_annotator_id": "ner-anna"}
    {"text": "Anna left", "spans": [], "answer": "accept", "_input_hash": 7, "_annotator_id": "ner-bob"}

Source: https://prodi.gy/docs/api-interfaces
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

from instruct_mner.data.importing.generic import to_names
from instruct_mner.data.importing.marks import to_marks
from instruct_mner.data.importing.posts import Fault, RawPost

_WHO = ("_annotator_id", "_session_id")


def of_prodigy(row: Mapping[str, Any], where: str, left_out: Counter[str]) -> RawPost | None:
    """Read a row of Prodigy; ``None`` for one that was not accepted.

    Args:
        row: The row.
        where: File and row, for messages.
        left_out: Counts of what is not read, which are added to.

    Raises:
        ValueError: It has no text, or its entities are none.
    """
    if row.get("answer", "accept") != "accept":
        left_out[f"row(s) with the answer {row['answer']!r}"] += 1
        return None
    if not isinstance(row.get("text"), str):
        raise ValueError("the row has no text")
    hidden = {"text", "spans", "tokens", "answer", "image", "id"}
    spans = row.get("spans")
    for span in spans or ():
        if isinstance(span, dict) and {"points", "width"} & span.keys():
            raise ValueError("a span is a region of the picture; its mention is not said, so it cannot be read")
    return RawPost(
        where=where,
        id=row.get("id"),
        text=row["text"],
        marks=None if spans is None else to_marks([{key: span.get(key) for key in ("start", "end", "label")}
                                                   for span in spans]),
        images=to_names(row.get("image")),
        meta={key: value for key, value in row.items() if key not in hidden and not key.startswith("_")},
    )  # fmt: skip


class Answers:
    """Answers of several people to one input, of which one post is made where they agree."""

    def __init__(self) -> None:
        self._first: dict[Hashable, tuple[RawPost, str]] = {}

    def joined(
        self, row: Mapping[str, object], items: Iterable[RawPost | Fault], left_out: Counter[str]
    ) -> Iterator[RawPost | Fault]:
        """Yield the posts of a row that are not there already, and a fault for each that differs from an earlier one.

        Args:
            row: The row.
            items: Posts of the row, and faults.
            left_out: Counts of what is not read, which are added to.
        """
        who = next((f" by {row[name]}" for name in _WHO if row.get(name)), "")
        for item in items:
            if isinstance(item, Fault) or row.get("_input_hash") is None:
                yield item
                continue
            first, other = self._first.setdefault((str(row["_input_hash"]), str(item.id), item.text), (item, who))
            if first is item:
                yield item
            elif _marked(first) == _marked(item):
                left_out["row(s) that agree with an earlier one of the same input"] += 1
            else:
                yield Fault(
                    item.where,
                    f"annotated{who} otherwise than{other} in {first.where}, the same input; keep one row of each "
                    "input, such as those of one session, or correct them",
                )


def _marked(post: RawPost) -> Hashable:
    return None if post.marks is None else frozenset((mark.start, mark.end, mark.label) for mark in post.marks)
