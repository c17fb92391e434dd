"""Posts and predictions for the tests of scoring: made by hand, or drawn by Hypothesis."""

from hypothesis import strategies as st

from instruct_mner.data.bio import decode_spans, join_tokens
from instruct_mner.schema.records import Box, Entity, Example, PredictedEntity, Prediction, Rejected
from instruct_mner.scoring.report import Gold, evaluate

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
LEFT = (0, 0, 100, 100)
LEFT_HALF = (0, 0, 100, 50)
LEFT_THIRD = (0, 0, 100, 49)
RIGHT = (200, 0, 300, 100)

ANNA = Example(
    id="a",
    text="Anna flew to Oslo",
    entities=(
        Entity(start=0, end=4, text="Anna", label="PER"),
        Entity(start=13, end=17, text="Oslo", label="LOC"),
    ),
)
NOTHING = Example(id="b", text="nothing to see", entities=())


def boxed(*boxes, image=0):
    """Boxes on one picture."""
    return tuple(Box(image=image, box=box) for box in boxes)


def found(text, surface, label, boxes=None, *, nth=0):
    """The ``nth`` occurrence of a surface as a field of an entity."""
    start = -1
    for _ in range(nth + 1):
        start = text.index(surface, start + 1)
    return {"start": start, "end": start + len(surface), "text": surface, "label": label, "boxes": boxes}


def gold_post(key, text, *entities):
    """A gold post; entities as ``(surface, label)``, ``(surface, label, boxes)`` or fields."""
    fields = [item if isinstance(item, dict) else found(text, *item) for item in entities]
    return Example(id=key, text=text, images=("a.jpg", "b.jpg"), entities=fields)


def said_post(key, text, *entities, **rejected):
    """A prediction; entities as in ``gold_post``."""
    fields = [item if isinstance(item, dict) else found(text, *item) for item in entities]
    return Prediction(id=key, text=text, images=("a.jpg", "b.jpg"), entities=fields, rejected=Rejected(**rejected))


def from_tags(tags, decode="tolerant", tokens=None):
    """Text and entity fields of tags."""
    text, entities = join_tokens(tokens or [f"t{i}" for i in range(len(tags))], decode_spans(tags, decode))
    return text, [entity.model_dump() for entity in entities]


def as_records(gold, predicted, decode="tolerant"):
    """Tag sequences as gold posts and predictions."""
    examples, predictions = [], []
    for index, (right, said) in enumerate(zip(gold, predicted, strict=True)):
        text, entities = from_tags(right, decode)
        examples.append(Example(id=str(index), text=text, entities=entities))
        predictions.append(Prediction(id=str(index), text=text, entities=from_tags(said, decode)[1]))
    return examples, predictions


def as_perfect(examples):
    """Predictions that say what gold says; of several boxes the first."""
    return [
        Prediction(
            id=example.id,
            text=example.text,
            images=example.images,
            entities=[
                PredictedEntity(**{**dict(entity), "boxes": entity.boxes and entity.boxes[:1]})
                for entity in example.gold
            ],
        )
        for example in examples
    ]


_TOKENS = ("Paris", "paris", "Bob", "I", "and")
_REGIONS = st.lists(st.sampled_from([LEFT, LEFT_HALF, LEFT_THIRD, RIGHT]), max_size=2, unique=True)


@st.composite
def tag_pairs(draw, max_sentences=6, max_tokens=7):
    """Gold and predicted tag sequences of the same lengths; some empty."""
    lengths = draw(st.lists(st.integers(0, max_tokens), min_size=1, max_size=max_sentences))
    sides = [[draw(st.lists(st.sampled_from(TAGS), min_size=n, max_size=n)) for n in lengths] for _ in range(2)]
    return sides[0], sides[1]


@st.composite
def systems(draw, grounded=False, max_posts=5):
    """Gold posts and predictions of the same posts, with repeated surfaces and rejected items."""
    gold, predicted = [], []
    for index in range(draw(st.integers(1, max_posts))):
        tokens = draw(st.lists(st.sampled_from(_TOKENS), min_size=1, max_size=6))
        tags = st.lists(st.sampled_from(TAGS), min_size=len(tokens), max_size=len(tokens))
        text, right = from_tags(draw(tags), tokens=tokens)
        _, said = from_tags(draw(tags), tokens=tokens)
        # Predictions that are near to gold, or right answers would be too rare to test anything.
        said = draw(st.sampled_from([said, right, right[1:]]))
        right, said = [dict(entity) for entity in right], [dict(entity) for entity in said]
        for entity in (*right, *said) if grounded else ():
            entity["boxes"] = boxed(*draw(_REGIONS), image=draw(st.integers(0, 1)))
        for entity in said if grounded else ():
            entity["boxes"] = entity["boxes"][:1]
        rejected = Rejected(malformed=draw(st.integers(0, 2)), unplaceable=draw(st.integers(0, 1)))
        pictures = ("a.jpg", "b.jpg")
        gold.append(Example(id=str(index), text=text, images=pictures, entities=right))
        predicted.append(Prediction(id=str(index), text=text, images=pictures, entities=said, rejected=rejected))
    return gold, predicted


TEXT = "Bob met Ann in Paris"
GOLD = [
    gold_post("1", TEXT, ("Bob", "PER", boxed(LEFT)), ("Ann", "PER", ()), ("Paris", "LOC", ())),
    gold_post("2", TEXT, ("Bob", "PER", boxed(RIGHT))),
    gold_post("3", "nobody"),
]
SAID = [
    said_post("1", TEXT, ("Bob", "PER", boxed(LEFT)), ("Paris", "ORG", ()), hallucinated=1),
    said_post("2", TEXT, ("Bob", "PER", boxed(LEFT))),
    said_post("3", "nobody", malformed=1),
]
STAMP = Gold("made/test", "0123456789abcdef" * 4, "strict", 3)


def report_of(predictions=SAID, compared=None, gold=GOLD, **settings):
    return evaluate(
        STAMP,
        gold,
        ("a.jsonl", predictions),
        compared and ("b.jsonl", compared),
        num_resamples=200,
        **settings,
    )
