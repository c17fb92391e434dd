"""Search for a completion with a better reward than the gold, by brute force on short posts.

    python -m eval.benchmarks.reward_search --output reward-search.json

On posts of 2 to 4 words, some of them repeated, with one picture, it tries every answer in lines that the counted
grammar of the post admits, with at most 3 entities, in every order of lines, over spans, types, and no box, the boxes
of the gold or one that is off; and answers that the grammar does not admit. All are read as in tagging. The exit code
is 1 where a completion has a higher reward than the gold, or the same weighted mean with other entities, and where
nothing of the kind is noticed with rewards that can be cheated.

A gold that does not come back from its own completion is counted apart: of a word that stands twice and is an entity in
the second place only, an answer cannot say which one is meant. Naming both is then better than the gold's completion.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.benchmarks.reward_answers import Post, draw_post, illegal_answers, legal_answers, read
from eval.gates.common import seeded
from instruct_mner.reinforcement.rewards.matching import matches
from instruct_mner.reinforcement.rewards.weighted import REWARDS, Reward, weighted
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.triples import intersection_over_union

_WEIGHTED = "weighted"

Answer = tuple[frozenset[tuple[int, int, str, bool | None]], int]
"""Entities with their region (``None``: not visible; true: exactly a gold box), and the number of rejected items."""


def surfaces_as_set(post: Example, prediction: Prediction) -> float:
    """Return the overlap of the sets of surfaces; a reward that can be cheated."""
    gold, predicted = ({entity.text for entity in side} for side in (post.gold, prediction.entities))
    return len(gold & predicted) / len(gold | predicted) if gold | predicted else 1.0


def types_of_matched(post: Example, prediction: Prediction) -> float:
    """Return the share of right types among the matched spans; a reward that can be cheated."""
    pairs = matches(post.gold, prediction.entities)
    return sum(gold.label == predicted.label for gold, predicted in pairs) / len(pairs) if pairs else 1.0


def first_box(post: Example, prediction: Prediction) -> float:
    """Return the overlap of the first boxes of gold and prediction; a reward that can be cheated."""
    gold, predicted = (
        [box for entity in side for box in entity.boxes or ()] for side in (post.gold, prediction.entities)
    )
    return intersection_over_union(gold[0], predicted[0]) if gold and predicted else float(not gold and not predicted)


HACKABLE: Mapping[str, Reward] = {"surfaces": surfaces_as_set, "types": types_of_matched, "boxes": first_box}
"""Rewards of common forms, each with a gap; the search must find it."""


@dataclass
class Tally:
    """Counts of a search.

    Attributes:
        posts: Number of posts.
        completions: Number of completions that were tried.
        illegal: Number of those that the grammar does not admit.
        better: Number of completions with a higher reward than that of the gold, for each reward.
        equal: Number of completions with the weighted mean of the gold, and other entities.
        first: First completion that was counted in ``better`` or ``equal``, with its text.
    """

    better: Counter[str]
    posts: int = 0
    completions: int = 0
    illegal: int = 0
    equal: int = 0
    first: list[str] = field(default_factory=list)

    @property
    def num_found(self) -> int:
        """Number of completions that are better than the gold in any reward, or as good with other entities."""
        return self.better.total() + self.equal

    def __str__(self) -> str:
        better = ", ".join(f"{name} {number}" for name, number in self.better.items())
        return f"{self.posts} posts, {self.completions} completions, better: {better}, as good: {self.equal}"

    def report(self) -> dict[str, Any]:
        """Return the counts as they are written."""
        return {
            "posts": self.posts,
            "completions": self.completions,
            "illegal": self.illegal,
            "better than the gold": dict(self.better),
            "as good as the gold with other entities": self.equal,
            "first": self.first,
        }


@dataclass(frozen=True)
class Search:
    """Counts on posts whose gold can be written, and on the others.

    Attributes:
        written: Counts where the gold comes back from its completion.
        lost: Counts where it does not.
        passed_over: Number of posts with more than ``MOST_ANSWERS`` legal answers.
    """

    written: Tally
    lost: Tally
    passed_over: int


def answer_of(example: Example, prediction: Prediction) -> Answer:
    """Return the parts of a prediction that rewards are about."""
    gold_boxes = {(entity.start, entity.end): entity.boxes or () for entity in example.gold}
    entities = frozenset(
        (
            entity.start,
            entity.end,
            entity.label,
            entity.boxes[0] in gold_boxes.get((entity.start, entity.end), ()) if entity.boxes else None,
        )
        for entity in prediction.entities
    )
    return entities, prediction.rejected.total


def gold_answer(example: Example) -> Answer:
    """Return the parts of the gold that rewards are about."""
    entities = ((entity.start, entity.end, entity.label, bool(entity.boxes) or None) for entity in example.gold)
    return frozenset(entities), 0


def rewards_of(example: Example, prediction: Prediction, rewards: Mapping[str, Reward]) -> dict[str, float]:
    """Return all rewards of a prediction, and their mean with equal weights."""
    values = {name: reward(example, prediction) for name, reward in rewards.items()}
    return {**values, _WEIGHTED: weighted(values, dict.fromkeys(values, 1.0))}


def search(num_posts: int, seed: int, rewards: Mapping[str, Reward] = REWARDS) -> Search:
    """Try all completions on so many posts whose gold can be written, and on the others that are drawn among them.

    Args:
        num_posts: Number of posts whose gold comes back from its completion.
        seed: Seed of the posts.
        rewards: Rewards by name.
    """
    generator = seeded(seed)
    written, lost = (Tally(Counter(dict.fromkeys([*rewards, _WEIGHTED], 0))) for _ in range(2))
    passed_over = 0
    while written.posts < num_posts:
        post = draw_post(generator)
        legal = legal_answers(post)
        if legal is None:
            passed_over += 1
            continue
        comes_back = answer_of(post.example, read(post.example, post.gold)) == gold_answer(post.example)
        _try_all(post, legal, rewards, written if comes_back else lost)
    return Search(written, lost, passed_over)


def _try_all(post: Post, legal: Sequence[str], rewards: Mapping[str, Reward], tally: Tally) -> None:
    """Count all completions of a post."""
    example, gold = post.example, gold_answer(post.example)
    best = rewards_of(example, read(example, post.gold), rewards)
    tally.posts += 1
    illegal = list(illegal_answers(post, legal))
    tally.illegal += len(illegal)
    for completion, finished in [*((answer, True) for answer in legal), *illegal]:
        prediction = read(example, completion, finished=finished)
        values = rewards_of(example, prediction, rewards)
        better = [name for name, value in values.items() if value > best[name]]
        equal = values[_WEIGHTED] == best[_WEIGHTED] and answer_of(example, prediction) != gold
        tally.completions += 1
        tally.better.update(better)
        tally.equal += equal
        if (better or equal) and not tally.first:
            tally.first = [example.text, post.gold, completion, *better]


def main() -> int:
    """Print a line of counts, write them to a file, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=500, help="number of posts whose gold can be written; default 500")
    parser.add_argument("--seed", type=int, default=0, help="seed of the posts; default 0")
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="file of the counts; default none")
    chosen = parser.parse_args()
    found, hacked = search(chosen.posts, chosen.seed), search(min(20, chosen.posts), chosen.seed, HACKABLE)
    if chosen.output is not None:
        report = {
            "seed": chosen.seed,
            "posts passed over": found.passed_over,
            "gold that can be written": found.written.report(),
            "gold that cannot be written": found.lost.report(),
            "rewards that can be cheated": hacked.written.report(),
        }
        chosen.output.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"{found.written}; gold that cannot be written: {found.lost}; rewards that can be cheated: {hacked.written}")
    return int(found.written.num_found > 0 or not hacked.written.num_found)


if __name__ == "__main__":
    sys.exit(main())
