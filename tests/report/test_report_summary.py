from __future__ import annotations

from collections import Counter

from instruct_mner.report.summary import RegionCounts, RunSummary, summarize
from instruct_mner.schema.records import Box, Entity, Example, PredictedEntity, Prediction
from instruct_mner.scoring.outcomes import Outcome
from instruct_mner.scoring.report import Gold, evaluate
from instruct_mner.scoring.seen import Recall, seen_recall

TEXT = "Ann met Bo in Rome"
BOX = (Box(box=(0, 0, 10, 10)),)


def gold(surface: str, label: str, boxes: tuple[Box, ...] | None = None) -> Entity:
    start = TEXT.index(surface)
    return Entity(start=start, end=start + len(surface), text=surface, label=label, boxes=boxes)


def found(surface: str, label: str, score: float = 1.0, boxes: tuple[Box, ...] | None = None) -> PredictedEntity:
    return PredictedEntity(**gold(surface, label).model_dump(exclude={"boxes"}), boxes=boxes, score=score)


def summary(entities: tuple[Entity, ...], predicted: tuple[PredictedEntity, ...]) -> RunSummary:
    post = Example(id="1", text=TEXT, images=("a.png",), entities=entities)
    prediction = Prediction(id="1", text=TEXT, images=("a.png",), entities=predicted)
    report = evaluate(Gold("g", "0", "tolerant", 1), [post], ("p", [prediction]), num_resamples=10)
    return summarize("p", report, [(post, prediction)], None, seed=0, num_resamples=10)


def test_outcomes_and_confusion() -> None:
    made = summary(
        (gold("Ann", "PER"), gold("Bo", "PER"), gold("Rome", "LOC")),
        (found("Ann", "PER", 0.9), found("met", "MISC", 0.2), found("Bo", "ORG", 0.4)),
    )
    assert made.outcomes == Counter({Outcome.RIGHT: 1, Outcome.TYPE: 1, Outcome.MISSED: 1, Outcome.SPURIOUS: 1})
    assert made.confusion == Counter({("PER", "PER"): 1, ("PER", "ORG"): 1, ("LOC", None): 1, (None, "MISC"): 1})
    assert made.reliability is not None
    assert made.regions is None
    assert made.seen is None


def test_equal_confidences_have_no_curve() -> None:
    assert summary((gold("Ann", "PER"),), (found("Ann", "PER"), found("Bo", "PER"))).reliability is None


def test_regions_are_counted_where_the_place_is_right() -> None:
    made = summary(
        (gold("Ann", "PER", ()), gold("Bo", "PER", BOX), gold("Rome", "LOC", BOX)),
        (found("Ann", "PER", boxes=BOX), found("met", "ORG", boxes=BOX), found("Bo", "ORG", boxes=())),
    )
    assert made.regions == RegionCounts(invented=1, overlooked=1, placed=2)


def test_recall_of_seen_mentions() -> None:
    """Capitals do not matter, the type does."""
    known = (Entity(start=0, end=3, text="ANN", label="PER"), Entity(start=4, end=6, text="Bo", label="ORG"))
    train = [Example(id="t", text="ANN Bo", entities=known)]
    post = Example(id="1", text=TEXT, entities=(gold("Ann", "PER"), gold("Bo", "PER"), gold("Rome", "LOC")))
    prediction = Prediction(id="1", text=TEXT, entities=(found("Ann", "PER"), found("Rome", "LOC")))
    recall = seen_recall(train, [(post, prediction)])
    assert (recall.seen, recall.unseen) == (Recall(found=1, gold=1), Recall(found=1, gold=2))
    assert (recall.seen.share, recall.unseen.share) == (1.0, 0.5)
    assert seen_recall(train, []).seen.share == 0
