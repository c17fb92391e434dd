r"""Answers of models that other programs kept as text: JSON of the usual forms, or a line for each entity.

Answers on ``Anna met Anna`` (shortened)::

    [{"text": "Anna", "label": "PER", "start": 9, "end": 13}]
    [{"text": "Anna", "label": "PER", "boxes": [{"image": 0, "box": [1, 2, 3, 4]}]}]
    {"PER": ["Anna"]}
    PER: Anna

Offsets hold where the mention stands at them; other mentions are placed by their text, in what is left of the post.
Types are those of the gold; those in another spelling are entities, too, as in files of entities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instruct_mner.answers.codec import parse
from instruct_mner.answers.json_array import read_objects
from instruct_mner.answers.lines import NO_ENTITIES
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.importing.bare_answers import THINKS, bare_answer
from instruct_mner.data.importing.entities import EntityNotes
from instruct_mner.data.importing.marks import to_mark, to_marks
from instruct_mner.data.importing.offsets import UNITS, same_surface, span_of
from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.data.inclusive_ends import InclusiveEnds
from instruct_mner.data.lenient import loads
from instruct_mner.schema.labels import LabelSet, why_no_label
from instruct_mner.schema.offsets import place
from instruct_mner.schema.records import Box, Example, PredictedEntity, Prediction, Rejected
from instruct_mner.scoring.foreign_types import meant_types

Span = tuple[int, int]

_NOTHING = frozenset({"", NO_ENTITIES, f"{NO_ENTITIES}.", "null"})
_READ_ANYWAY = ("text", "label", "boxes", "box")
_MOST_ENTITIES = 10_000


@dataclass
class PredictionNotes(EntityNotes):
    """Choices that were made for the user while predictions were read.

    Attributes:
        num_boxes: Entities with several boxes, of which the largest is taken.
        num_thoughts: Answers that end before the thought does.
        ends: Ends of mentions of answers whose texts are not given.
    """

    num_boxes: int = 0
    num_thoughts: int = 0
    ends: InclusiveEnds = field(default_factory=InclusiveEnds)

    def largest(self, boxes: Sequence[Box] | None) -> tuple[Box, ...] | None:
        """Return the largest box alone, which is what an answer of ours would hold; note the choice."""
        if boxes is None:
            return None
        self.num_boxes += len(boxes) > 1
        return tuple(sorted(boxes, key=lambda box: -box.area)[:1])

    def lines(self, source: str) -> list[str]:
        """Return the lines for the user."""
        lines = super().lines(source)
        if self.num_boxes:
            lines.append(f"{source}: {self.num_boxes} entities have several boxes, and the largest of each was taken")
        if self.num_thoughts:
            lines.append(f"{source}: {self.num_thoughts} answers end within {THINKS}: each is one malformed item")
        return lines + self.ends.problems_of_predictions(Path(source))


def answer_spec(posts: Sequence[Example]) -> AnswerSpec | None:
    """Return the specification of answers with the types of a gold; ``None`` where it has no entity."""
    labels = sorted(
        {entity.label for post in posts for entity in post.entities or () if not why_no_label(entity.label)}
    )
    if not labels:
        return None
    return AnswerSpec(labels=LabelSet.model_validate(labels), format="lines", max_entities=_MOST_ENTITIES)


def of_answer(answer: str, post: Example, spec: AnswerSpec, notes: PredictionNotes) -> Prediction:
    """Read an answer; what is no entity counts as rejected, and an empty answer says that there is none.

    Args:
        answer: The answer.
        post: Post of which it is.
        spec: Specification of the answers.
        notes: Choices that are added to.
    """
    bare = bare_answer(answer)
    if bare is None:
        notes.num_thoughts += 1
        return Prediction(id=post.id, text=post.text, images=post.images, rejected=Rejected(malformed=1))
    if bare.casefold() in _NOTHING:
        return Prediction(id=post.id, text=post.text, images=post.images)
    marks = _marks(bare, spec, notes)
    if marks is not None:
        return _placed(marks, post, spec, notes)
    labels = dict.fromkeys(line.partition(": ")[0] for line in bare.split("\n"))
    spelled = [label for label in labels if label not in spec.labels and _is_type(label, spec)]
    if spelled:
        spec = spec.model_copy(update={"labels": LabelSet.of([*spec.labels.names, *spelled])})
    read = parse(spec, post.text, bare)
    entities = tuple(
        PredictedEntity(start=each.start, end=each.end, text=post.text[each.start : each.end], label=each.label)
        for each in read.entities
    )
    return Prediction(id=post.id, text=post.text, images=post.images, entities=entities, rejected=read.rejected)


def _marks(answer: str, spec: AnswerSpec, notes: PredictionNotes) -> list[Mark | None] | None:
    """Return the items of JSON, ``None`` for each that is no entity; ``None`` for an answer that is no JSON."""
    try:
        value = loads(answer)
    except (ValueError, RecursionError):
        if answer[:1] not in {"[", "{"}:
            return None
        value = None
    value = _unwrapped(value, spec.labels)
    if isinstance(value, list):
        return [_mark(item, notes) for item in value]
    if isinstance(value, Mapping):
        try:
            return [*to_marks(value)]
        except ValueError:
            pass  # there may be a list in it
    objects, num_others = read_objects(answer, finished=True)
    items = [{name: value for name, (value, _) in fields.items()} for fields in objects]
    return [*(_mark(item, notes) for item in items), *[None] * num_others]


def _unwrapped(value: Any, labels: LabelSet) -> Any:
    """Return the list of an object with nothing else: ``{"entities": […]}``, which a mode for JSON objects asks for."""
    if isinstance(value, dict) and len(value) == 1:
        [(key, inner)] = value.items()
        if key not in labels and isinstance(inner, list) and all(isinstance(each, dict) for each in inner):
            return inner
    return value


def _mark(item: Any, notes: PredictionNotes) -> Mark | None:
    """Read an item, without the fields of which nobody can tell what they mean; ``None`` where it is no entity."""
    try:
        mark = to_mark(item)
    except ValueError:
        if not isinstance(item, Mapping):
            return None
        known = {name: item[name] for name in _READ_ANYWAY if name in item}
        try:
            mark = to_mark(known)
        except ValueError:
            return None
        notes.unread |= item.keys() - known.keys()
    notes.unread |= mark.unread
    return mark


def _placed(marks: Sequence[Mark | None], post: Example, spec: AnswerSpec, notes: PredictionNotes) -> Prediction:
    at: dict[Span, Mark] = {}
    others: list[Mark] = []
    malformed = unplaceable = 0
    for mark in marks:
        if mark is None or not _can_be(mark, post, spec):
            malformed += 1
        elif (span := _stated(mark, post)) is None:
            others.append(mark)
        elif any(span[0] < end and start < span[1] for start, end in at):
            unplaceable += 1
        else:
            at[span] = mark
    surfaces = [(mark.surface or "").strip() for mark in others]
    placement = place(post.text, surfaces, spec.segmentation, occupied=tuple(at))
    for mark, surface, start in zip(others, surfaces, placement.starts, strict=True):
        if start is not None:
            at[start, start + len(surface)] = mark
    entities = tuple(
        PredictedEntity(
            start=start, end=end, text=post.text[start:end], label=mark.label, boxes=notes.largest(mark.boxes)
        )
        for (start, end), mark in at.items()
    )
    rejected = Rejected(
        malformed=malformed,
        hallucinated=len(placement.hallucinated),
        unplaceable=unplaceable + len(placement.unplaceable),
    )
    prediction = Prediction(id=post.id, text=post.text, images=post.images, entities=entities, rejected=rejected)
    if any(not mark.surface for mark in at.values()):
        notes.ends.look_at(prediction)
    return prediction


def _can_be(mark: Mark, post: Example, spec: AnswerSpec) -> bool:
    """Return whether a mark is an entity that may stand in a post."""
    named = mark.surface.strip() if mark.surface else _stated(mark, post)
    return bool(named) and _is_type(mark.label, spec) and all(box.image < len(post.images) for box in mark.boxes or ())


def _is_type(label: str, spec: AnswerSpec) -> bool:
    """Return whether a label is a type of the gold, in its spelling or in another one, which the report tells."""
    return label in spec.labels or (why_no_label(label) is None and bool(meant_types([label], spec.labels.names)))


def _stated(mark: Mark, post: Example) -> Span | None:
    """Return the characters of the offsets of a mark; ``None`` where its text does not stand there in any unit."""
    raw = RawPost(where="", text=post.text)
    units = UNITS if mark.surface else UNITS[:1]
    for span in filter(None, (span_of(mark, raw, unit) for unit in units)):
        piece = post.text[slice(*span)]
        if piece.strip() and (not mark.surface or same_surface(piece, mark.surface)):
            start = span[0] + len(piece) - len(piece.lstrip())
            return start, start + len(piece.strip())
    return None
