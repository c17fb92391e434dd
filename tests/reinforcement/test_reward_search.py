from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path
from random import Random

import pytest
from llguidance import LLTokenizer

from eval.benchmarks import reward_search
from eval.benchmarks.reward_answers import (
    SPEC,
    draw_post,
    illegal_answers,
    legal_answers,
    legal_surfaces,
    lines_of,
    read,
)
from eval.benchmarks.reward_search import HACKABLE, answer_of, gold_answer, search
from instruct_mner.answers import codec
from instruct_mner.answers.guide import Guide
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.reinforcement.rewards.spans import spans
from instruct_mner.reinforcement.rewards.weighted import REWARDS
from instruct_mner.schema.offsets import place
from instruct_mner.schema.records import Box, Entity, Example

BYTES = LLTokenizer("byte")


def admits(text: str, answer: str) -> bool:
    guide = Guide(BYTES, codec.grammar(SPEC, text), RestOfAnswer(SPEC, text, 1))
    for token in answer.encode():
        if guide.matcher.is_stopped() or not guide.write(token):
            return False
    return bool(guide.matcher.is_accepting())


@pytest.mark.parametrize(
    "num_posts", [10, pytest.param(500, marks=[pytest.mark.prove, pytest.mark.timeout(1800)])]
)  # fmt: skip
def test_no_completion_is_better_than_the_gold_or_as_good_with_other_entities(num_posts: int) -> None:
    found = search(num_posts, seed=0)
    assert found.written.posts == num_posts
    assert found.written.completions > 1_000 * num_posts
    assert found.written.illegal > 100 * num_posts
    assert list(found.written.better) == [*REWARDS, "weighted"]
    assert found.written.num_found == 0, found.written.first
    assert found.lost.num_found > 0


def test_a_gold_that_cannot_be_written_is_counted_apart() -> None:
    """Of "Ann Ann", where the second one is meant, naming both is better: 2 · 1 / (2 + 1) and not 0."""
    second = Entity(start=4, end=7, text="Ann", label="PER", boxes=())
    example = Example(id="1", text="Ann Ann", images=("a.jpg",), entities=(second,))
    once, twice = (read(example, "\n".join(["PER: Ann []"] * times)) for times in (1, 2))
    assert answer_of(example, once) != gold_answer(example)
    assert (spans(example, once), spans(example, twice)) == (0.0, 2 / 3)


def test_the_search_finds_the_gaps_of_rewards_that_can_be_cheated() -> None:
    found = search(4, seed=46, rewards=HACKABLE)
    assert found.written.better["boxes"] > 0
    assert found.written.better["weighted"] > 0
    assert found.written.equal > 0
    assert found.written.first


@pytest.mark.parametrize(
    ("cheated", "exact", "completion", "expected"),
    [
        # Ann stands twice, and is an entity once: 2 · 2 / (3 + 2)
        ("surfaces", "spans", "PER: Ann [0, 0, 500, 500]\nPER: Ann []\nLOC: Bo [0, 0, 1000, 1000]", 0.8),
        # rejected: 2 · 2 / (4 + 2)
        ("surfaces", "spans", "PER: Ann [0, 0, 500, 500]\nLOC: Bo []\nPER: Dee []\nPER: Bo []", 4 / 6),
        # Bo's type was not sure: 2 · 1 / (1 + 2)
        ("types", "types", "PER: Ann [0, 0, 500, 500]", 2 / 3),
        # the second box is a quarter of the right one: 2 · (1 + 0.25) / (2 + 2)
        ("boxes", "boxes", "PER: Ann [0, 0, 500, 500]\nLOC: Bo [0, 0, 500, 500]", 0.625),
    ],
)
def test_each_gap_by_hand(cheated: str, exact: str, completion: str, expected: float) -> None:
    ann = Entity(start=0, end=3, text="Ann", label="PER", boxes=(Box(box=(0, 0, 50, 50)),))
    bo = Entity(start=4, end=6, text="Bo", label="LOC", boxes=(Box(box=(0, 0, 100, 100)),))
    example = Example(id="1", text="Ann Bo Ann", images=("a.jpg",), entities=(ann, bo))
    prediction = read(example, completion)
    assert HACKABLE[cheated](example, prediction) == 1.0
    assert REWARDS[exact](example, prediction) == expected


@pytest.mark.parametrize("text", ["Ann Bo", "Ann Ann", "Ann Bo Ann", "Ann Bo Cy", "Ann Ann Bo Ann"])
def test_all_rows_of_surfaces_that_have_a_place_are_tried(text: str) -> None:
    post = draw_post(Random(0), text)
    surfaces = list(lines_of(post))
    placed = {
        row
        for length in (1, 2, 3)
        for row in product(surfaces, repeat=length)
        if not place(text, row).unplaceable
    }  # fmt: skip
    legal = set(legal_surfaces(text, surfaces))
    # On texts that repeat words the grammar behind a line can be narrower than the parser, by few rows.
    assert legal <= placed
    assert len(placed - legal) <= 1
    tried = {
        tuple(surface.partition(": ")[2].partition(" [")[0] for surface in answer.split("\n"))
        for answer, finished in illegal_answers(post, ["none"])
        if finished
    }
    assert {row for row in placed if len(row) > 1} <= tried


def test_the_grammar_admits_the_legal_answers_and_no_illegal_one() -> None:
    post = draw_post(Random(10), "Ann Bo")
    assert post.example.gold
    legal = legal_answers(post)
    assert legal is not None
    assert len(legal) == len(set(legal))
    assert all(admits(post.example.text, answer) for answer in legal)
    assert all(read(post.example, answer).rejected.total == 0 for answer in legal)
    illegal = [answer for answer, finished in illegal_answers(post, legal) if finished]
    assert len(illegal) > 100
    # The line break behind the last line is the end of the turn.
    assert not [answer for answer in illegal if not answer.endswith("\n") and admits(post.example.text, answer)]


def test_one_line_is_printed_and_a_file_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "counts.json"
    monkeypatch.setattr(sys, "argv", ["reward_search", "--posts", "3", "--output", str(output)])
    assert reward_search.main() == 0
    [line] = capsys.readouterr().out.splitlines()
    counts = json.loads(output.read_text("utf-8"))
    assert f"3 posts, {counts['gold that can be written']['completions']} completions" in line
    assert counts["gold that can be written"]["as good as the gold with other entities"] == 0
    assert counts["rewards that can be cheated"]["as good as the gold with other entities"] > 0
