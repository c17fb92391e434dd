"""Short posts, and the answers that are tried on them by the search for a better reward than that of the gold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

from llguidance import LLTokenizer
from PIL import Image

from instruct_mner.answers import codec
from instruct_mner.answers.guide import Guide
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Completion
from instruct_mner.models.manifest import Manifest, PromptStamp
from instruct_mner.schema.boxes import BoxConvention, to_model_units
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Box, Entity, Example, Prediction
from instruct_mner.tagging.decoding import DecodingInput, read_prediction

LABELS = ("PER", "LOC")
SPEC = AnswerSpec(labels=LabelSet.of(LABELS), grounded=True)
MOST_ENTITIES = 3
MOST_ANSWERS = 8_000
"""Largest number of legal answers on a post; one with more would take seconds."""

_WORDS = ("Ann", "Bo", "Cy")
_PICTURES = (Image.new("RGB", (100, 100)),)
_GRID = range(0, 101, 25)
_MANIFEST = Manifest(
    base_model="none", family="none", tuning="none", prompt=PromptStamp(name="none", sha256="0" * 64), answer=SPEC
)
_BYTES = LLTokenizer("byte")
# Lines that are no entity: not in the text, an unknown type, no separator, no box, too few numbers, no mention, and a
# number that is too large.
_NO_ENTITIES = (
    "PER: Dee []",
    "LOC: Dee [0, 0, 500, 500]",
    "ORG: Ann []",
    "PER Ann []",
    "PER: Ann",
    "PER: Ann [1, 2, 3]",
    "PER:  []",
    "PER: Ann [0, 0, 9999, 9999]",
)


@dataclass(frozen=True)
class Post:
    """Short post with one picture.

    Attributes:
        example: Post with gold.
        regions: Regions that are tried for each entity: none, each gold box, and one box that is off.
        gold: Completion of the gold.
    """

    example: Example
    regions: tuple[tuple[Box, ...], ...]
    gold: str


def draw_post(generator: Random, text: str | None = None) -> Post:
    """Draw a post with at most 2 gold entities.

    Args:
        generator: Source of all draws.
        text: Text of the post; ``None`` draws 2 to 4 words with repetitions.
    """
    words = text.split(" ") if text else generator.choices(_WORDS, k=generator.randint(2, 4))
    text = " ".join(words)
    entities: list[Entity] = []
    for _ in range(generator.randint(0, 2)):
        free = [span for span in _spans(text) if all(span[1] <= each.start or each.end <= span[0] for each in entities)]
        if free:
            start, end = generator.choice(free)
            boxes = tuple(dict.fromkeys(_draw_box(generator) for _ in range(generator.randint(0, 2))))
            label = generator.choice(LABELS)
            entities.append(Entity(start=start, end=end, text=text[start:end], label=label, boxes=boxes))
    example = Example(id="post", text=text, images=("post.jpg",), entities=tuple(entities))
    gold_boxes = list(dict.fromkeys(box for entity in entities for box in entity.boxes or ()))
    off = _draw_box(generator)
    while off in gold_boxes:
        off = _draw_box(generator)
    return Post(example, ((), *((box,) for box in [*gold_boxes, off])), _render(text, example.gold))


def _spans(text: str) -> list[tuple[int, int]]:
    """Return the spans that an answer can name."""
    ends = range(1, len(text) + 1)
    return [
        (start, end) for start, end in product(range(len(text)), ends) if start < end and SPEC.can_say(text, start, end)
    ]


def _draw_box(generator: Random) -> Box:
    (x0, x1), (y0, y1) = (sorted(generator.sample(_GRID, 2)) for _ in range(2))
    return Box(box=(x0, y0, x1, y1))


def _render(text: str, entities: Sequence[Entity]) -> str:
    """Write entities, whose boxes are in pixels, as in training."""
    return codec.render(
        SPEC, text, [entity.model_copy(update={"boxes": _in_model_units(entity)}) for entity in entities]
    )


def _in_model_units(entity: Entity) -> tuple[Box, ...]:
    size = _PICTURES[0].size
    return tuple(Box(box=to_model_units(box.box, size, BoxConvention())) for box in entity.boxes or ())


def read(example: Example, completion: str, *, finished: bool = True) -> Prediction:
    """Return the prediction of a completion, read as in tagging."""
    decoding = DecodingInput(
        text=example.text,
        completion=Completion(completion, finished=finished),
        spec=SPEC,
        manifest=_MANIFEST,
        resized=lambda size: None,
    )
    return read_prediction(example, _PICTURES, decoding)


def lines_of(post: Post) -> dict[str, list[str]]:
    """Return the lines that are tried of each surface of the text: every type with every region."""
    text, lines = post.example.text, {}
    for start, end in _spans(text):
        fields = {"start": start, "end": end, "text": text[start:end]}
        choices = product(LABELS, post.regions)
        lines[text[start:end]] = [
            _render(text, [Entity(**fields, label=label, boxes=boxes)]) for label, boxes in choices
        ]
    return lines


def legal_answers(post: Post) -> list[str] | None:
    """Return the answers of at most 3 entities that the grammar admits; ``None`` where there are too many.

    Types and regions are free in the grammar, behind any line, so that it is asked about the surfaces alone.
    """
    lines = lines_of(post)
    each = len(LABELS) * len(post.regions)
    rows = list(legal_surfaces(post.example.text, list(lines)))
    if sum(each ** len(row) for row in rows) > MOST_ANSWERS:
        return None
    return ["none", *("\n".join(chosen) for row in rows for chosen in product(*(lines[surface] for surface in row)))]


def legal_surfaces(text: str, surfaces: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of surfaces that the lines of an answer may hold, under the grammar that counts occurrences."""
    guide = Guide(_BYTES, codec.grammar(SPEC, text), RestOfAnswer(SPEC, text, 1))
    yield from _further(guide, surfaces, ())


def _further(guide: Guide, surfaces: Sequence[str], written: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for surface in surfaces:
        num_tokens = 0
        line = f"{LABELS[0]}: {surface} []".encode()
        for token in line:
            if guide.matcher.is_stopped() or not guide.write(token):
                break
            num_tokens += 1
        if num_tokens == len(line) and guide.matcher.is_accepting():
            row = (*written, surface)
            yield row
            if len(row) < MOST_ENTITIES and not guide.matcher.is_stopped() and guide.write(ord("\n")):
                yield from _further(guide, surfaces, row)
                guide.rollback(1)
        guide.rollback(num_tokens)


def illegal_answers(post: Post, legal: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield completions that the grammar does not admit, each with whether it came to its end.

    They name words too often, are cut, or hold a surface that is not in the text, an unknown type, or a line that is
    none.

    Args:
        post: Post.
        legal: Answers that the grammar admits.
    """
    admitted = set(legal)
    yield from ((answer, True) for answer in _named_too_often(post) if answer not in admitted)
    for base in dict.fromkeys([post.gold, *(answer for answer in legal if "\n" not in answer)]):
        yield base, False
        for line in dict.fromkeys([*base.split("\n"), *_NO_ENTITIES, "none", "", " "]):
            for completion in (f"{base}\n{line}", f"{line}\n{base}") if base == post.gold else (f"{base}\n{line}",):
                if completion not in admitted:
                    yield completion, True
                    yield completion, False
    for end in range(len(post.gold)):
        yield post.gold[:end], False
        if post.gold[:end] not in admitted:
            yield post.gold[:end], True


def _named_too_often(post: Post) -> Iterator[str]:
    """Yield all rows of surfaces, those of the gold with their types and regions; legal rows are among them."""
    lines = {surface: of_surface[0] for surface, of_surface in lines_of(post).items()}
    lines |= {entity.text: _render(post.example.text, [entity]) for entity in post.example.gold}
    for length in range(2, MOST_ENTITIES + 1):
        yield from ("\n".join(row) for row in product(lines.values(), repeat=length))
