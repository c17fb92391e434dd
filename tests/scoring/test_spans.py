import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_cases import as_perfect, found, gold_post, said_post, systems

from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example
from instruct_mner.scoring.counts import Score
from instruct_mner.scoring.pairing import pair_posts
from instruct_mner.scoring.spans import RejectedRates, score_spans

TEXT = "Bob met Ann in Paris and Bob left Rome"


def counts(tally):
    score = tally.score
    return score.correct, score.predicted, score.gold


def test_every_number_of_a_case_counted_by_hand():
    gold = [
        gold_post("1", TEXT, ("Bob", "PER"), ("Ann", "PER"), ("Paris", "LOC"), ("Rome", "LOC")),
        gold_post("2", "nobody here"),
    ]
    predicted = [
        said_post("2", "nobody here", malformed=1),
        # Bob right, Ann of a wrong type, "Paris and" a wrong span, Rome missed, two rejected.
        said_post("1", TEXT, ("Bob", "PER"), ("Ann", "ORG"), ("Paris and", "LOC"), hallucinated=1, unplaceable=1),
    ]
    scores = score_spans(gold, predicted)
    assert scores.ids == ("1", "2")
    assert counts(scores.micro) == (1, 6, 4)
    assert scores.micro.score.precision == 1 / 6
    assert scores.micro.score.recall == 1 / 4
    assert scores.micro.score.f1 == pytest.approx(2 * (1 / 6) * (1 / 4) / (1 / 6 + 1 / 4), abs=1e-15)
    assert counts(scores.span_only) == (2, 6, 4)
    assert scores.type_scores == {"LOC": Score(0, 1, 2), "ORG": Score(0, 1, 0), "PER": Score(1, 1, 2)}
    assert list(scores.per_type) == ["LOC", "ORG", "PER"]
    assert scores.macro.f1 == pytest.approx((0 + 0 + 2 / 3) / 3)
    assert scores.macro.precision == pytest.approx(1 / 3)
    assert scores.macro.recall == pytest.approx(0.5 / 3)
    assert scores.weighted.f1 == pytest.approx((2 * 0 + 0 * 0 + 2 * (2 / 3)) / 4)
    rejected = scores.rejected
    assert rejected.counts() == {"malformed": 1, "hallucinated": 1, "unplaceable": 1}
    assert (rejected.entities, rejected.total, rejected.rate(rejected.total)) == (3, 3, 0.5)


def test_counts_stand_by_post_in_the_order_of_the_gold():
    gold = [gold_post("b", "Bob"), gold_post("a", "Bob", ("Bob", "PER"))]
    predicted = [said_post("a", "Bob", ("Bob", "PER")), said_post("b", "Bob", ("Bob", "PER"), malformed=2)]
    micro = score_spans(gold, predicted).micro
    assert micro.correct.tolist() == [0, 1]
    assert micro.predicted.tolist() == [3, 1]
    assert micro.gold.tolist() == [0, 1]


def test_types_stand_in_the_order_that_is_asked_for_and_others_follow():
    gold = [gold_post("1", TEXT, ("Bob", "PER"), ("Paris", "LOC"), ("Rome", "CITY"))]
    scores = score_spans(gold, as_perfect(gold), labels=["PER", "MISC", "LOC"])
    assert list(scores.per_type) == ["PER", "LOC", "CITY"]
    assert scores.macro.f1 == 1.0


def test_match_modes_forgive_what_they_say():
    gold = [gold_post("1", TEXT, ("Bob", "PER"), found(TEXT, "Bob", "PER", nth=1), ("Rome", "LOC"))]
    other_place = [said_post("1", TEXT, found(TEXT, "Bob", "PER", nth=1))]
    assert counts(score_spans(gold, other_place, match="offset").micro) == (1, 1, 3)
    gold_once = [gold_post("1", TEXT, ("Bob", "PER"))]
    assert counts(score_spans(gold_once, other_place, match="offset").micro) == (0, 1, 1)
    assert counts(score_spans(gold_once, other_place, match="surface").micro) == (1, 1, 1)
    # Gold twice, said once: a multiset misses one, a set none.
    assert counts(score_spans(gold, other_place, match="surface").micro) == (1, 1, 3)
    assert counts(score_spans(gold, other_place, match="surface-lower-set").micro) == (1, 1, 2)


def test_lower_set_ignores_case_and_still_counts_rejected_items():
    text = "PARIS and Paris"
    gold = [gold_post("1", text, ("PARIS", "LOC"), ("Paris", "ORG"))]
    said = [said_post("1", text, ("Paris", "LOC"), malformed=1)]
    scores = score_spans(gold, said, match="surface-lower-set")
    assert counts(scores.micro) == (1, 2, 2)
    # With types ignored, gold holds one lower-cased surface, not two.
    assert counts(scores.span_only) == (1, 2, 1)
    assert counts(score_spans(gold, said, match="surface").micro) == (0, 2, 2)


def test_posts_that_do_not_pair_are_all_named_at_once():
    gold = [
        *(gold_post(key, "Bob") for key in ("a", "a", "same", "lost")),
        *(gold_post(f"gone{i}", "Bob") for i in range(7)),
        Example(id="bare", text="Bob"),
    ]
    predicted = [
        said_post("a", "Bob"),
        said_post("bare", "Bob"),
        said_post("same", "Ann"),
        *(said_post(key, "Bob") for key in ("new", "new")),
    ]
    with pytest.raises(DataError) as caught:
        score_spans(gold, predicted)
    message = str(caught.value)
    for part in (
        "1 gold post(s) whose id is given twice: 'a'",
        "1 gold post(s) without 'entities': 'bare'",
        "1 predicted post(s) whose id is given twice: 'new'",
        "8 gold post(s) without a prediction: 'lost', 'gone0', 'gone1', 'gone2', 'gone3' and 3 more",
        "1 predicted post(s) that gold does not have: 'new'",
        "1 post(s) whose predicted text is not the gold text: 'same'",
    ):
        assert part in message


def test_predictions_are_paired_by_id_in_the_order_of_the_gold():
    gold = [gold_post(key, "Bob") for key in ("b", "a", "c")]
    predicted = [said_post(key, "Bob", malformed=number) for number, key in enumerate(("a", "b", "c"))]
    pairs = pair_posts(gold, predicted)
    assert [(post.id, said.id, said.rejected.malformed) for post, said in pairs] == [
        ("b", "b", 1), ("a", "a", 0), ("c", "c", 2)
    ]  # fmt: skip
    assert list(pair_posts([], [])) == []


def test_rates_are_shares_of_all_that_was_predicted():
    rates = RejectedRates(malformed=1, hallucinated=2, unplaceable=0, entities=5)
    assert rates.total == 3
    assert {name: rates.rate(count) for name, count in rates.counts().items()} == {
        "malformed": 1 / 8, "hallucinated": 2 / 8, "unplaceable": 0.0
    }  # fmt: skip


def test_nothing_predicted_and_nothing_there_score_zero_as_in_seqeval():
    nothing = score_spans([gold_post("1", "Bob")], [said_post("1", "Bob")])
    assert nothing.micro.score == Score(0, 0, 0)
    assert nothing.micro.score.f1 == nothing.macro.f1 == nothing.weighted.f1 == 0.0
    assert nothing.per_type == {}
    assert nothing.rejected.rate(0) == 0.0
    assert score_spans([], []).micro.score == Score(0, 0, 0)


MATCHES = st.sampled_from(["offset", "surface", "surface-lower-set"])


@given(systems(), MATCHES)
def test_a_perfect_prediction_scores_one(case, match):
    gold, _ = case
    scores = score_spans(gold, as_perfect(gold), match=match)
    has_any = any(example.gold for example in gold)
    assert scores.micro.score.f1 == scores.span_only.score.f1 == scores.macro.f1 == float(has_any)
    assert all(score.f1 == 1.0 for score in scores.type_scores.values())


@given(systems(), MATCHES, st.randoms(use_true_random=False))
def test_the_order_of_posts_does_not_matter(case, match, shuffler):
    gold, predicted = case
    before = score_spans(gold, predicted, match=match)
    shuffler.shuffle(gold)
    shuffler.shuffle(predicted)
    after = score_spans(gold, predicted, match=match)
    assert counts(after.micro) == counts(before.micro)
    assert counts(after.span_only) == counts(before.span_only)
    assert after.type_scores == before.type_scores
    assert after.rejected == before.rejected


@given(systems(), st.sampled_from(["offset", "surface"]))
def test_counts_add_up(case, match):
    gold, predicted = case
    scores = score_spans(gold, predicted, match=match)
    micro, types = scores.micro.score, scores.type_scores.values()
    assert micro.gold == scores.span_only.score.gold == sum(len(example.gold) for example in gold)
    assert micro.predicted == sum(len(said.entities) + said.rejected.total for said in predicted)
    assert sum(score.correct for score in types) == micro.correct <= scores.span_only.score.correct
    assert sum(score.gold for score in types) == micro.gold
    assert sum(score.predicted for score in types) + scores.rejected.total == micro.predicted


@given(systems())
def test_offsets_are_the_strictest_match(case):
    gold, predicted = case
    by_offset = score_spans(gold, predicted).micro.score
    assert by_offset.correct <= score_spans(gold, predicted, match="surface").micro.score.correct


@given(systems(), MATCHES)
def test_swapping_gold_and_prediction_swaps_precision_and_recall(case, match):
    gold, predicted = case
    clean = [said.model_copy(update={"rejected": type(said.rejected)()}) for said in predicted]
    swapped_gold = [
        Example(id=said.id, text=said.text, entities=[e.model_dump(exclude={"score"}) for e in said.entities])
        for said in clean
    ]
    one = score_spans(gold, clean, match=match).micro.score
    other = score_spans(swapped_gold, as_perfect(gold), match=match).micro.score
    assert (one.precision, one.recall, one.f1) == (other.recall, other.precision, other.f1)
