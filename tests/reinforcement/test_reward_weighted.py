from __future__ import annotations

from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reward_cases import LEFT, LEFT_HALF, as_gold, boxed, pairs, post_of, prediction_of

from eval.benchmarks.reward_answers import Post, draw_post, lines_of, read
from instruct_mner.reinforcement.rewards.weighted import REWARDS, weighted
from instruct_mner.schema.records import Example, Prediction

NAMES = list(REWARDS)
WEIGHTS = st.fixed_dictionaries({name: st.floats(0, 10) for name in NAMES}).filter(lambda each: sum(each.values()) > 0)


def all_rewards(post: Example, prediction: Prediction) -> dict[str, float]:
    return {name: reward(post, prediction) for name, reward in REWARDS.items()}


@st.composite
def drawn_posts(draw: st.DrawFn) -> Post:
    """A post of four different words, so that every mention has one place."""
    return draw_post(Random(draw(st.integers(0, 10**6))), "Ann Bo Cy Ed")


@st.composite
def completions(draw: st.DrawFn) -> tuple[Post, list[str]]:
    """A post, and up to four lines on it: any spans, types and regions, also overlapping ones."""
    post = draw(drawn_posts())
    lines = [*post.gold.split("\n"), *(line for lines in lines_of(post).values() for line in lines)]
    near = draw(st.sampled_from([[], post.gold.split("\n")]))
    return post, [*near, *draw(st.lists(st.sampled_from(lines), max_size=4))]


def surface_of(line: str) -> str:
    return line.partition(": ")[2].partition(" [")[0]


def at_most(post: Post, lines: list[str], before: list[str]) -> bool:
    """Return whether no reward of some lines is higher than that of those before."""
    now, then = (all_rewards(post.example, read(post.example, "\n".join(each))) for each in (lines, before))
    return all(now[name] <= then[name] for name in NAMES)


def test_the_order_of_the_rewards() -> None:
    assert NAMES == ["spans", "types", "boxes", "not_visible"]


def test_numbers_worked_by_hand() -> None:
    post = post_of(("Ann", "PER", boxed(LEFT)), ("Bo", "PER", ()), ("Rome", "LOC", ()))
    prediction = prediction_of(("Ann", "LOC", boxed(LEFT_HALF)), ("Bo", "PER", ()), malformed=1)
    # spans 2 · 2 / (3 + 3), types 2 · 1 / (3 + 3), boxes 2 · 0.5 / (1 + 1), not visible 2 · 1 / (1 + 2)
    values = all_rewards(post, prediction)
    assert values == {"spans": 4 / 6, "types": 2 / 6, "boxes": 0.5, "not_visible": 2 / 3}
    # (4/6 + 2 · 2/6 + 4 · 0.5 + 1 · 2/3) / 8
    weights = {"spans": 1.0, "types": 2.0, "boxes": 4.0, "not_visible": 1.0}
    assert weighted(values, weights) == pytest.approx(0.5)


def test_weights_of_absent_rewards_are_ignored() -> None:
    # (1 · 1 + 3 · 0.5) / 4
    assert weighted({"spans": 1.0, "types": 0.5}, {"spans": 1, "types": 3, "boxes": 100}) == 0.625


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"spans": 1.0}, "no weight for boxes, types"),
        ({"spans": 1.0, "types": -1.0, "boxes": 1.0}, "the weight of types is negative"),
        ({"spans": 1.0, "types": float("nan"), "boxes": float("inf")}, "the weight of types, boxes is negative or not"),
        ({"spans": 0.0, "types": 0.0, "boxes": 0.0, "not_visible": 1.0}, "all 0"),
    ],
)
def test_weights_that_give_no_mean_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighted({"spans": 1.0, "types": 1.0, "boxes": 1.0}, weights)


@given(pairs(), WEIGHTS)
def test_all_rewards_and_their_mean_are_in_0_to_1_and_those_of_the_gold_are_1(
    case: tuple[Example, Prediction], weights: dict[str, float]
) -> None:
    post, prediction = case
    values = all_rewards(post, prediction)
    assert all(0 <= value <= 1 for value in [*values.values(), weighted(values, weights)])
    of_gold = all_rewards(post, as_gold(post))
    assert [*of_gold.values(), weighted(of_gold, weights)] == [1.0] * 5


@given(drawn_posts(), st.randoms(use_true_random=False))
def test_the_completion_of_the_gold_has_1_in_any_order_of_its_lines(post: Post, generator: Random) -> None:
    lines = post.gold.split("\n")
    generator.shuffle(lines)
    assert set(all_rewards(post.example, read(post.example, "\n".join(lines))).values()) == {1.0}


@given(completions(), st.randoms(use_true_random=False))
def test_the_order_of_the_lines_of_different_words_is_neutral(case: tuple[Post, list[str]], generator: Random) -> None:
    """Mentions of the same word are placed in their order, and overlapping ones of one length in that of the lines."""
    post, lines = case
    words = list({surface_of(line): line for line in lines if " " not in surface_of(line)}.values())
    before = read(post.example, "\n".join(words))
    generator.shuffle(words)
    assert read(post.example, "\n".join(words)) == before


@given(completions(), st.data())
def test_a_repeated_line_never_raises_a_reward(case: tuple[Post, list[str]], data: st.DataObject) -> None:
    post, lines = case
    assume(lines)
    assert at_most(post, [*lines, data.draw(st.sampled_from(lines))], before=lines)


@given(completions(), st.sampled_from(["PER: Dee []", "LOC: Dee [0, 0, 500, 500]", "PER: Ann Cy []"]), st.data())
def test_a_hallucinated_line_never_raises_a_reward_and_lowers_that_of_spans(
    case: tuple[Post, list[str]], line: str, data: st.DataObject
) -> None:
    post, lines = case
    place = data.draw(st.integers(0, len(lines)))
    more = [*lines[:place], line, *lines[place:]]
    before, after = (read(post.example, "\n".join(each)) for each in (lines, more))
    assert after.rejected.hallucinated == before.rejected.hallucinated + 1
    assert at_most(post, more, before=lines)
    then = REWARDS["spans"](post.example, before)
    assert REWARDS["spans"](post.example, after) < then or not then


@given(completions())
def test_a_longer_completion_never_raises_a_reward_by_a_wrong_entity(case: tuple[Post, list[str]]) -> None:
    """The grammar admits no mention over another; here each further line has a place of its own."""
    post, lines = case
    gold = {entity.text for entity in post.example.gold}
    free = set(post.example.text.split(" ")) - {word for line in lines for word in surface_of(line).split(" ")}
    for surface, more in lines_of(post).items():
        if surface not in gold and set(surface.split(" ")) <= free:
            assert all(at_most(post, [*lines, line], before=lines) for line in more)
