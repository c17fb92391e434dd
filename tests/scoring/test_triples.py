import re

import pytest
from hypothesis import given
from scoring_cases import (
    LEFT,
    LEFT_HALF,
    LEFT_THIRD,
    RIGHT,
    as_perfect,
    boxed,
    gold_post,
    said_post,
    systems,
)

from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Box
from instruct_mner.scoring import Score, score_spans, score_triples
from instruct_mner.scoring.triples import intersection_over_union, region_is_right, why_not_grounded

TEXT = "Bob met Ann in Paris near Rome"
NAMES = ("gmner", "visible", "invisible", "mner", "eeg", "grounding")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (LEFT, LEFT, 1.0),
        (LEFT, LEFT_HALF, 0.5),
        (LEFT, LEFT_THIRD, 0.49),
        (LEFT, RIGHT, 0.0),
        (LEFT, (100, 0, 200, 100), 0.0),
        (LEFT, (50, 50, 150, 150), 2500 / 17500),
        ((0, 0, 0.5, 0.5), (0, 0, 1, 1), 0.25),
    ],
)
def test_intersection_over_union(first, second, expected):
    one, other = Box(box=first), Box(box=second)
    assert intersection_over_union(one, other) == expected
    assert intersection_over_union(other, one) == expected
    assert intersection_over_union(one, Box(image=1, box=second)) == 0.0


def test_a_region_is_right_from_a_half_on_with_any_box_of_the_same_picture():
    assert region_is_right(boxed(LEFT), boxed(LEFT_HALF))
    assert not region_is_right(boxed(LEFT), boxed(LEFT_THIRD))
    assert region_is_right(boxed(RIGHT, LEFT), boxed(LEFT_HALF))
    assert not region_is_right(boxed(LEFT), boxed(LEFT, image=1))
    assert region_is_right((), ())
    assert not region_is_right((), boxed(LEFT))
    assert not region_is_right(boxed(LEFT), ())


def test_every_number_of_a_case_counted_by_hand():
    gold = [
        gold_post(
            "1",
            TEXT,
            ("Bob", "PER", boxed(LEFT, RIGHT)),
            ("Ann", "PER", boxed(LEFT)),
            ("Paris", "LOC", ()),
            ("Rome", "LOC", ()),
        )
    ]
    predicted = [
        said_post(
            "1",
            TEXT,
            ("Bob", "PER", boxed(RIGHT)),  # all right, by the second box
            ("Ann", "ORG", boxed(LEFT_HALF)),  # wrong type, right region
            ("Paris", "LOC", boxed(LEFT)),  # right type, seen where there is nothing to see
            ("near", "LOC", ()),  # no such entity
            ("Rome", "LOC", ()),  # all right, not visible
            malformed=1,
        )
    ]
    scores = score_triples(gold, predicted)
    assert {name: getattr(scores, name).score for name in NAMES} == {
        "gmner": Score(2, 6, 4),
        "visible": Score(1, 3, 2),
        "invisible": Score(1, 2, 2),
        "mner": Score(3, 6, 4),
        "eeg": Score(3, 6, 4),
        "grounding": Score(3, 4, 4),
    }


def count_slowly(gold, predicted):
    """The triple, its splits, EEG and grounding by comparing every prediction with every gold entity."""
    counts = {name: [0, 0, 0] for name in NAMES}
    by_id = {said.id: said for said in predicted}
    for post in gold:
        said = by_id[post.id]
        for name in ("gmner", "mner", "eeg"):
            counts[name][1] += len(said.entities) + said.rejected.total
            counts[name][2] += len(post.gold)
        for entity in post.gold:
            counts["visible" if entity.boxes else "invisible"][2] += 1
        for entity in said.entities:
            counts["visible" if entity.boxes else "invisible"][1] += 1
            for right in post.gold:
                if (entity.start, entity.end) != (right.start, right.end):
                    continue
                region = not right.boxes and not entity.boxes
                for box in right.boxes:
                    for guess in entity.boxes:
                        (ax, ay, bx, by), (cx, cy, dx, dy) = box.box, guess.box
                        shared = max(0, min(bx, dx) - max(ax, cx)) * max(0, min(by, dy) - max(ay, cy))
                        joint = (bx - ax) * (by - ay) + (dx - cx) * (dy - cy) - shared
                        region = region or (box.image == guess.image and 2 * shared >= joint)
                typed = right.label == entity.label
                counts["grounding"][1] += 1
                counts["grounding"][2] += 1
                counts["grounding"][0] += region
                counts["eeg"][0] += region
                counts["mner"][0] += typed
                counts["gmner"][0] += region and typed
                counts["visible" if right.boxes else "invisible"][0] += region and typed
    return {name: Score(*three) for name, three in counts.items()}


@given(systems(grounded=True))
def test_equals_a_plain_loop(case):
    scores = score_triples(*case)
    assert {name: getattr(scores, name).score for name in NAMES} == count_slowly(*case)


@given(systems(grounded=True))
def test_splits_add_up_to_the_triple_less_rejected_items(case):
    gold, predicted = case
    scores = score_triples(gold, predicted)
    whole, seen, unseen = (getattr(scores, name).score for name in ("gmner", "visible", "invisible"))
    assert seen.correct + unseen.correct == whole.correct
    assert seen.gold + unseen.gold == whole.gold
    rejected = sum(said.rejected.total for said in predicted)
    assert seen.predicted + unseen.predicted + rejected == whole.predicted


@given(systems(grounded=True))
def test_mner_is_the_typed_micro_score(case):
    triples, spans = score_triples(*case), score_spans(*case)
    assert triples.mner.correct.tolist() == spans.micro.correct.tolist()
    assert triples.mner.score == spans.micro.score


@given(systems(grounded=True))
def test_a_perfect_prediction_scores_one(case):
    gold, _ = case
    scores = score_triples(gold, as_perfect(gold))
    for name in NAMES:
        score = getattr(scores, name).score
        assert score.f1 == float(score.gold > 0)


def test_entities_without_boxes_are_refused_and_counted():
    gold = [gold_post("1", TEXT, ("Bob", "PER", ()), ("Ann", "PER"))]
    predicted = [said_post("1", TEXT, ("Bob", "PER"), ("Ann", "PER"), ("Rome", "LOC", ()))]
    reason = "1 of 2 gold entities have no 'boxes' and 2 of 3 predicted entities have no 'boxes'"
    assert why_not_grounded(gold, predicted) == reason
    with pytest.raises(DataError, match=reason):
        score_triples(gold, predicted)


def test_a_grounded_system_that_finds_nothing_scores_zero():
    gold = [gold_post("1", TEXT, ("Bob", "PER", boxed(LEFT)))]
    assert why_not_grounded(gold, [said_post("1", TEXT)]) is None
    assert score_triples(gold, [said_post("1", TEXT)]).gmner.score == Score(0, 0, 1)


def test_no_entity_on_either_side_is_nothing_to_ground():
    gold, predicted = [gold_post("1", TEXT)], [said_post("1", TEXT)]
    assert why_not_grounded(gold, predicted) == "no entity is annotated, and none is predicted"
    assert why_not_grounded(gold, [said_post("1", TEXT, ("Bob", "PER", ()))]) is None


def test_baseline_of_right_text_and_nothing_visible_on_gmner(shared_data):
    # 1049 of the 2543 test mentions have a box: 1046 whose surface is a <name> of their XML file letter by
    # letter, and 3 by case or spaces (rays, didierdrogba, JUSTIN BIEBER). The other 1494 are right unseen.
    gold = load_split(f"gmner:{shared_data / 'gmner' / 'txt' / 'test.txt'}", missing_image="keep").examples
    blind = [
        said.model_copy(update={"entities": tuple(entity.model_copy(update={"boxes": ()}) for entity in said.entities)})
        for said in as_perfect(gold)
    ]
    scores = score_triples(gold, blind)
    assert scores.gmner.score == Score(2543 - 1049, 2543, 2543)
    assert 0.587 <= scores.gmner.score.f1 <= 0.589
    assert scores.visible.score == Score(0, 0, 1049)
    assert scores.invisible.score == Score(1494, 2543, 1494)
    assert scores.mner.score.f1 == 1.0


def test_boxes_that_are_shares_of_a_picture_are_not_scored():
    gold = [gold_post("1", "Bob met Ann", ("Bob", "PER", boxed(LEFT)), ("Ann", "PER", boxed((0, 0, 1, 1))))]
    shares = boxed((0.1, 0.1, 0.5, 0.5))
    predicted = [said_post("1", "Bob met Ann", ("Bob", "PER", shares), ("Ann", "PER", ()))]
    reason = r"1 of 1 predicted boxes lie in 0\.\.1, the first is \[0\.1, 0\.1, 0\.5, 0\.5\]: boxes are pixels"
    assert re.match(reason, why_not_grounded(gold, predicted))
    with pytest.raises(DataError, match=f"triples cannot be scored: {reason}"):
        score_triples(gold, predicted)
    # The smallest box of a model that answers in pixels, and one that slipped.
    assert why_not_grounded(gold, [said_post("1", "Bob met Ann", ("Bob", "PER", boxed((0, 0, 1, 1))))]) is None
    mixed = said_post("1", "Bob met Ann", ("Bob", "PER", shares), ("Ann", "PER", boxed(LEFT)))
    assert why_not_grounded(gold, [mixed]) is None
    other = [gold_post("1", "Bob met Ann", ("Bob", "PER", shares))]
    assert why_not_grounded(other, as_perfect(gold)).startswith("1 of 1 gold boxes lie in 0..1")
