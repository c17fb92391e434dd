import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_cases import TAGS, as_records, tag_pairs

from eval.benchmarks.bench_scorer import speed_ratios
from eval.gates.seqeval_comparison import corrupted, largest_difference, read_tags
from instruct_mner.errors import DataError
from instruct_mner.scoring import Score, score_spans
from instruct_mner.scoring.tags import score_tags

DECODINGS = ("tolerant", "strict")


def made_gold(generator, num_sentences=40):
    """Random tags, with orphaned and type-changed I- among them."""
    return [
        generator.choices(TAGS, weights=[8, 2, 2, 1, 2, 1, 1], k=generator.randint(1, 12)) for _ in range(num_sentences)
    ]


@pytest.mark.parametrize("decode", DECODINGS)
def test_equals_seqeval_on_made_up_tags(decode):
    generator = random.Random(1)
    worst = 0.0
    for _ in range(100):
        gold = made_gold(generator)
        worst = max(worst, largest_difference(gold, corrupted(gold, generator.random(), generator), decode))
    assert worst <= 1e-12


@pytest.mark.parametrize("decode", ["tolerant", pytest.param("strict", marks=pytest.mark.prove)])
def test_equals_seqeval_on_1000_corruptions_of_twitter_2015(decode, shared_data):
    whole = read_tags(shared_data / "twitter2015" / "test.txt")
    generator = random.Random(2)
    worst = 0.0
    for _ in range(1000):
        gold = generator.sample(whole, 25)
        predicted = corrupted(gold, generator.choice([0.02, 0.1, 0.5]), generator)
        worst = max(worst, largest_difference(gold, predicted, decode))
    assert worst <= 1e-12


@pytest.mark.parametrize(
    ("decode", "entities", "per_type"),
    [
        ("tolerant", 5207, {"LOC": 1720, "ORG": 860, "OTHER": 754, "PER": 1873}),
        ("strict", 5072, None),
    ],
)
def test_counts_of_twitter_2015(decode, entities, per_type, shared_data):
    gold = read_tags(shared_data / "twitter2015" / "test.txt")
    scores = score_tags(gold, gold, decode)
    assert scores.micro.score == Score(entities, entities, entities)
    if per_type:
        assert {label: score.gold for label, score in scores.type_scores.items()} == per_type


@given(tag_pairs(), st.sampled_from(DECODINGS))
def test_equals_scores_of_the_decoded_records(pair, decode):
    gold, predicted = pair
    from_tags = score_tags(gold, predicted, decode)
    from_records = score_spans(*as_records(gold, predicted, decode))
    assert from_tags.type_scores == from_records.type_scores
    for name in ("micro", "span_only"):
        ours, records = getattr(from_tags, name), getattr(from_records, name)
        assert ours.correct.tolist() == records.correct.tolist()
        assert ours.predicted.tolist() == records.predicted.tolist()
        assert ours.gold.tolist() == records.gold.tolist()


def test_an_orphaned_inside_tag_opens_an_entity_only_when_tolerant():
    gold = [["O", "I-LOC", "B-PER", "I-PER", "I-LOC", "I-LOC"]]
    assert score_tags(gold, gold).type_scores == {"LOC": Score(2, 2, 2), "PER": Score(1, 1, 1)}
    assert score_tags(gold, gold, "strict").type_scores == {"PER": Score(1, 1, 1)}


def test_counts_of_a_case_counted_by_hand():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "B-LOC"]]
    # The first ends too early, the second is right, the third has another type, the fourth is missed.
    predicted = [["B-PER", "O", "O", "B-LOC"], ["B-ORG", "O"]]
    scores = score_tags(gold, predicted)
    assert scores.ids == ("0", "1")
    assert scores.micro.score == Score(1, 3, 4)
    assert scores.span_only.score == Score(2, 3, 4)
    assert scores.type_scores == {"LOC": Score(1, 1, 3), "ORG": Score(0, 1, 0), "PER": Score(0, 1, 1)}


def test_an_entity_ends_with_its_sentence():
    gold = [["O", "B-PER"], [], ["I-PER", "O"]]
    scores = score_tags(gold, [["O", "B-PER"], [], ["O", "O"]])
    assert scores.micro.correct.tolist() == [1, 0, 0]
    assert scores.micro.gold.tolist() == [1, 0, 1]


def test_no_sentence_scores_zero():
    assert score_tags([], []).micro.score == Score(0, 0, 0)
    assert score_tags([[]], [[]]).micro.score == Score(0, 0, 0)


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([["O"]], [], "1 gold tag sequences, but 0 predicted"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], "sequence 1: 2 gold tags, 1 predicted"),
        ([["O"]], [["E-PER"]], "'E-PER'"),
        ([["O"]], [["B-"]], "'B-'"),
    ],
)
def test_tags_that_cannot_be_scored_are_refused(gold, predicted, message):
    with pytest.raises(DataError, match=message):
        score_tags(gold, predicted)


@pytest.mark.parametrize("decode", DECODINGS)
def test_is_ten_times_as_fast_as_seqeval(decode):
    generator = random.Random(3)
    gold = made_gold(generator, 4000)
    ratios = speed_ratios(gold, corrupted(gold, 0.1, generator), decode, repeats=2)
    assert ratios["classification_report"] >= 10
