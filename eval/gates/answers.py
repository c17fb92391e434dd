"""Gates of offsets and of the answer format, over all gold of the real data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from eval.gates.common import Result, seeded, shared_data
from eval.gates.posts import SPECIAL_TOKENS
from instruct_mner.answers import codec
from instruct_mner.answers.answer import AnswerEntity
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.loading import load, load_split
from instruct_mner.prompting.templates import shown_text
from instruct_mner.schema.boxes import BoxConvention, to_model_units
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.offsets import place
from instruct_mner.schema.records import Box, Entity, Example

_SHUFFLES = 5
_MOST_MISPLACED = {"twitter2015": 0, "twitter2017": 0, "gmner": 3}
_SETS = ("twitter2015", "twitter2015_repaired", "twitter2017", "gmner")
_CONVENTION = BoxConvention()

Span = tuple[int, int, str]


def offsets() -> Result:
    """Place perfect surfaces in shuffled order; the worst of several shuffles counts."""
    value: dict[str, object] = {}
    passed = True
    for name, most in _MOST_MISPLACED.items():
        examples = _test_split(name)
        wrong = [_misplaced(examples, seed) for seed in range(_SHUFFLES)]
        worst = max(len(each) for each in wrong)
        passed = passed and worst <= most
        num_entities = sum(len(example.gold) for example in examples)
        value[name] = {"wrong": worst, "of": num_entities, "which": sorted(set().union(*wrong))[:10]}
    return Result(value=value, bound="at most 0, 0 and 3 wrong", passed=passed)


def _test_split(name: str) -> Sequence[Example]:
    form, path = ("gmner", "txt/test.txt") if name == "gmner" else ("conll", "test.txt")
    return load_split(f"{form}:{shared_data(name) / path}", missing_image="keep").examples


def _misplaced(examples: Iterable[Example], seed: int) -> set[str]:
    """Return the gold entities that no placed surface with its label hits."""
    generator = seeded(seed)
    wrong = set()
    for example in examples:
        shuffled = generator.sample(example.gold, len(example.gold))
        starts = place(example.text, [entity.text for entity in shuffled]).starts
        placed = {
            (start, start + len(entity.text), entity.label)
            for start, entity in zip(starts, shuffled, strict=True)
            if start is not None
        }
        wrong |= {
            f"{example.id}: {entity.label}: {entity.text} at {entity.start}"
            for entity in example.gold
            if (entity.start, entity.end, entity.label) not in placed
        }
    return wrong


def render_parse_identity() -> Result:
    """Compare `parse(render(gold))` with gold in every split, except for surfaces that are only partly labelled."""
    value: dict[str, object] = {}
    unexplained: list[str] = []
    mentions_in_gmner_test = 0
    for name in _SETS:
        for split, dataset in load(str(shared_data(name)), missing_image="keep").items():
            sizes = _picture_sizes(shared_data(name) / "xml") if name == "gmner" else None
            differing, boxes = 0, 0
            for example in dataset.examples:
                lost, problem, num_boxes = _round_trip(example, sizes)
                differing += len(lost)
                boxes += num_boxes
                if problem:
                    unexplained.append(f"{name}/{split} {example.id}: {problem}")
            mentions_in_gmner_test += differing if (name, split) == ("gmner", "test") else 0
            value[f"{name}/{split}"] = {
                "entities": sum(len(example.gold) for example in dataset.examples),
                "boxes": boxes,
                "partly labelled": differing,
            }
    value["unexplained"] = unexplained[:10]
    return Result(
        value=value,
        bound="the identity but for partly labelled surfaces; of these at most 3 in gmner/test",
        passed=not unexplained and mentions_in_gmner_test <= 3,
    )


def _round_trip(example: Example, sizes: dict[str, tuple[int, int]] | None) -> tuple[set[Span], str | None, int]:
    """Return gold spans that did not come back, any other problem, and the number of boxes that came back."""
    text = shown_text(example.text, SPECIAL_TOKENS)
    size = (1, 1) if sizes is None else _picture_size(example, sizes)
    entities = [_in_model_units(entity, size) for entity in example.gold] if sizes is not None else example.gold
    spec = AnswerSpec(labels=LabelSet.of(["PER", "LOC", "ORG", "OTHER", "MISC"]), grounded=sizes is not None)
    answer = codec.parse(spec, text, codec.render(spec, text, entities))
    gold = {_span(entity): entity for entity in example.gold}
    parsed = {_span(entity): entity for entity in answer.entities}
    lost = set(gold) - set(parsed)
    if answer.rejected.total or len(parsed) != len(gold):
        return lost, f"{len(gold)} entities became {len(parsed)}, rejected {answer.rejected}", 0
    partly = [span for span in lost if not _is_partly_labelled(text, span, gold)]
    if partly:
        return lost, f"lost though all its surfaces are labelled: {partly}", 0
    kept = [(gold[span], entity) for span, entity in parsed.items() if span in gold] if sizes is not None else []
    far = [entity for entity, read in kept if not _box_is_near(entity, read, size)]
    problem = f"boxes more than a unit away: {far}" if far else None
    return lost, problem, sum(read.box is not None for _, read in kept)


def _span(entity: Entity | AnswerEntity) -> Span:
    return entity.start, entity.end, entity.label


def _is_partly_labelled(text: str, span: Span, gold: dict[Span, Entity]) -> bool:
    """Return whether the surface of a lost entity also stands where gold has none of it."""
    surface = text[span[0] : span[1]]
    labelled = Counter(text[start:end] for start, end, _ in gold)[surface]
    # Overlapping occurrences count too: of `ha ha ha` one of the two `ha ha` can be labelled, not both.
    return len(re.findall(f"(?={re.escape(surface)})", text)) > labelled


def _in_model_units(entity: Entity, size: tuple[int, int]) -> Entity:
    boxes = tuple(Box(image=box.image, box=to_model_units(box.box, size, _CONVENTION)) for box in entity.boxes or ())
    return entity.model_copy(update={"boxes": boxes})


def _box_is_near(gold: Entity, read: AnswerEntity, size: tuple[int, int]) -> bool:
    """Return whether every side is within one unit of the largest box, which is not rounded here."""
    if not gold.boxes or read.box is None:
        return not gold.boxes and read.box is None
    exact = [
        [side * _CONVENTION.range / extent for side, extent in zip(box.box, size * 2, strict=True)]
        for box in gold.boxes
    ]
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in exact]
    # Boxes whose areas differ by less than rounding may be taken for one another.
    candidates = [box for box, area in zip(exact, areas, strict=True) if area >= max(areas) - 2 * _CONVENTION.range]
    return any(
        all(abs(predicted - side) <= 1 for predicted, side in zip(read.box.box, box, strict=True)) for box in candidates
    )


def _picture_sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Return width and height in the XML files, by post."""
    sizes = {}
    for path in folder.glob("*.xml"):
        match = re.search(r"<width>(\d+)</width>\s*<height>(\d+)</height>", path.read_text(encoding="utf-8"))
        if match:
            sizes[path.stem] = (int(match.group(1)), int(match.group(2)))
    return sizes


def _picture_size(example: Example, sizes: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Return the size of the picture; where none is known (or 0 x 0), a random one that holds all boxes."""
    width, height = sizes.get(example.id, (0, 0))
    if width and height:
        return width, height
    generator = seeded(len(example.text))
    boxes = [box.box for entity in example.gold for box in entity.boxes or ()]
    least = [int(max((box[side] for box in boxes), default=1)) + 1 for side in (2, 3)]
    return generator.randint(least[0], 2 * least[0] + 500), generator.randint(least[1], 2 * least[1] + 500)
