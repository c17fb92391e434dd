import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instruct_mner.errors import ConfigError
from instruct_mner.scoring.bootstrap import compare, draw_posts, intervals, resample_f1
from instruct_mner.scoring.counts import Tally


def tally(rows):
    """A tally of ``(correct, predicted, gold)`` rows, one a post."""
    return Tally(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)


@st.composite
def rows(draw, num_posts):
    made = []
    for _ in range(num_posts):
        predicted, gold = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        made.append((draw(st.integers(0, min(predicted, gold))), predicted, gold))
    return made


one_system = st.integers(1, 12).flatmap(rows)
two_systems = st.integers(1, 12).flatmap(lambda n: st.tuples(rows(n), rows(n)))


def plain_f1(counts):
    correct, predicted, gold = (sum(column) for column in zip(*counts, strict=True))
    return 2 * correct / (predicted + gold) if predicted + gold else 0.0


@settings(max_examples=25)
def undefined(counts, posts):
    """Whether a draw of posts holds neither gold nor predicted items."""
    return sum(counts[post][1] + counts[post][2] for post in posts) == 0


def test_a_rare_type_has_no_interval_made_of_draws_without_it():
    counts = [(1, 1, 1), *[(0, 0, 0)] * 9]  # a third of all draws miss the only post
    [interval] = intervals([tally(counts)], num_resamples=500)
    assert (interval.low, interval.high, interval.standard_error) == (1.0, 1.0, 0.0)


@given(one_system, st.integers(0, 3))
def test_equals_a_plain_loop_over_the_same_draws(counts, seed):
    # 300 draws are more than one chunk.
    drawn = np.concatenate(list(draw_posts(len(counts), seed=seed, num_resamples=300)))
    assert drawn.shape == (300, len(counts))
    slow = [plain_f1([counts[post] for post in posts]) for posts in drawn.tolist()]
    fast = resample_f1([tally(counts)], seed=seed, num_resamples=300)[:, 0]
    assert np.isnan(fast).tolist() == [undefined(counts, posts) for posts in drawn.tolist()]
    assert np.nan_to_num(fast).tolist() == pytest.approx(slow, abs=1e-15)
    [interval] = intervals([tally(counts)], seed=seed, num_resamples=300)
    # An interval is that of the draws in which there was something to score.
    defined = [score for score, posts in zip(slow, drawn.tolist(), strict=True) if not undefined(counts, posts)]
    assert interval.standard_error == pytest.approx(np.std(defined, ddof=1) if len(defined) > 1 else 0.0, abs=1e-12)
    ends = np.percentile(defined, [2.5, 97.5]) if defined else (0.0, 0.0)
    assert (interval.low, interval.high) == pytest.approx(ends, abs=1e-12)


@settings(max_examples=25)
@given(two_systems)
def test_comparison_equals_a_plain_loop_over_the_same_draws(pair):
    first, second = pair
    drawn = np.concatenate(list(draw_posts(len(first), seed=0, num_resamples=200))).tolist()
    moved = [plain_f1([second[post] for post in posts]) - plain_f1([first[post] for post in posts]) for posts in drawn]
    [found] = compare([tally(first)], [tally(second)], seed=0, num_resamples=200)
    assert found.difference == pytest.approx(plain_f1(second) - plain_f1(first), abs=1e-15)
    assert (found.low, found.high) == pytest.approx(np.percentile(moved, [2.5, 97.5]), abs=1e-12)
    not_better, not_worse = sum(d <= 0 for d in moved), sum(d >= 0 for d in moved)
    assert found.p_value == min(1.0, 2 * (min(not_better, not_worse) + 1) / 201)


@settings(max_examples=50)
@given(one_system)
def test_the_interval_contains_the_score(counts):
    [interval] = intervals([tally(counts)], num_resamples=400)
    assert 0 <= interval.low <= plain_f1(counts) + 1e-12
    assert plain_f1(counts) - 1e-12 <= interval.high <= 1


@given(one_system)
def test_a_system_does_not_differ_from_itself(counts):
    [found] = compare([tally(counts)], [tally(counts)], num_resamples=50)
    assert (found.difference, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


@settings(max_examples=25)
@given(two_systems)
def test_exchanging_the_systems_only_changes_the_sign(pair):
    first, second = ([tally(counts)] for counts in pair)
    [there], [back] = (
        compare(first, second, num_resamples=100),
        compare(second, first, num_resamples=100),
    )
    assert back.difference == -there.difference
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-12)
    assert back.p_value == there.p_value


def test_a_system_that_is_always_better_has_the_least_p_value():
    worse, better = tally([(1, 2, 2)] * 30), tally([(2, 2, 2)] * 30)
    [found] = compare([worse], [better], num_resamples=99)
    assert (found.difference, found.p_value) == (0.5, 2 / 100)


def test_the_standard_error_is_that_of_a_share():
    # Of 400 posts with one entity each, half are right: the error of a share is sqrt(0.5 · 0.5 / 400).
    [interval] = intervals([tally([(1, 1, 1), (0, 1, 1)] * 200)], num_resamples=4000)
    assert interval.standard_error == pytest.approx(0.025, rel=0.05)
    assert interval.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.004)
    assert interval.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.004)


def test_one_seed_gives_one_answer_and_other_seeds_others():
    counts = [tally([(1, 2, 2), (0, 1, 1), (3, 3, 4), (1, 1, 5)] * 5)]
    assert intervals(counts, seed=7, num_resamples=300) == intervals(counts, seed=7, num_resamples=300)
    assert intervals(counts, seed=7, num_resamples=300) != intervals(counts, seed=8, num_resamples=300)


def test_scores_share_their_draws_whatever_stands_beside_them():
    one, other = tally([(1, 2, 2), (0, 1, 1)] * 9), tally([(1, 1, 3), (2, 2, 2)] * 9)
    [alone] = intervals([other], num_resamples=300)
    _, beside = intervals([one, other], num_resamples=300)
    assert (beside.low, beside.high) == (alone.low, alone.high)
    assert beside.standard_error == pytest.approx(alone.standard_error, rel=1e-12)


def test_no_posts_no_tallies_and_no_draws():
    [interval] = intervals([tally([])], num_resamples=10)
    assert (interval.low, interval.high, interval.standard_error) == (0.0, 0.0, 0.0)
    assert intervals([]) == []
    assert compare([], []) == []
    with pytest.raises(ConfigError, match="at least 1"):
        intervals([tally([(1, 1, 1)])], num_resamples=0)
