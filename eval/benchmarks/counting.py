"""Cost and effect of counting occurrences: masks, and the grammar behind each line, on 20 to 5,000 words.

    python -m eval.benchmarks.counting --output counting.json

Answers in lines are drawn at random, each token evenly from those that are legal, with the vocabularies of two real
models, once under the grammar of the answer and once with occurrences counted (the guide that both engines use). The
program prints one JSON object: median and largest time of a mask, of a grammar and of what is made behind a line, in
milliseconds of processor time, and the mentions without a place. Its exit code is 1 where a counted answer is cut,
malformed, hallucinated or unplaceable, or its grammar fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.benchmarks.report_file import print_report
from eval.gates.common import seeded
from eval.gates.lengths import long_text
from eval.gates.vocabularies import REAL
from eval.gates.walks import Vocabulary, walk
from instruct_mner.answers import codec
from instruct_mner.answers.guide import Further, Guide, Rest
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.schema.labels import LabelSet

WORDS = (20, 250, 1000, 5000)
_SPEC = AnswerSpec(labels=LabelSet.of(["PER", "LOC", "ORG", "MISC"]))

Times = dict[str, list[float]]


class _Walked:
    """Guide with the methods of a matcher, for random walks; it measures its masks."""

    def __init__(self, guide: Guide, times: list[float]) -> None:
        self._guide, self._times = guide, times

    def is_stopped(self) -> bool:
        return bool(self._guide.matcher.is_stopped())

    def is_error(self) -> bool:
        return self._guide.failed

    def get_error(self) -> str:
        return str(self._guide.matcher.get_error())

    def consume_token(self, token: int) -> bool:
        return self._guide.write(token)

    def compute_bitmask(self) -> Any:
        begin = time.process_time()
        mask = self._guide.mask()
        self._times.append(time.process_time() - begin)
        return mask


@dataclass(frozen=True)
class _Timed:
    """Maker of grammars with a clock."""

    rest: Rest
    times: list[float]

    @property
    def mark(self) -> bytes:
        return self.rest.mark

    def __call__(self, written: str) -> Further | None:
        begin = time.process_time()
        further = self.rest(written)
        self.times.append(time.process_time() - begin)
        return further


def measure(vocabulary: Vocabulary, num_words: int, num_posts: int, num_answers: int, seed: int) -> dict[str, Any]:
    """Draw answers on posts of one length, and return times and counts."""
    generator, numbers = seeded(seed), np.random.default_rng(seed)
    times: Times = defaultdict(list)
    counts: dict[str, Counter[str]] = {"whole": Counter(), "counted": Counter()}
    for _ in range(num_posts):
        text = long_text(generator, num_words)
        rest = RestOfAnswer(_SPEC, text, 0)
        # Answers that name nothing show nothing.
        grammar = codec.grammar(_SPEC, text, 0).replace('start: "none" | ', "start: ")
        for number in range(2 * num_answers):
            name = "counted" if number % 2 else "whole"
            begin = time.process_time()
            guide = Guide(
                vocabulary.tokenizer, grammar, _Timed(rest, times["text of a grammar"]) if number % 2 else None
            )
            times["grammar"].append(time.process_time() - begin)
            begin, before = time.process_time(), sum(times[f"mask, {name}"])
            completion, problem = walk(_Walked(guide, times[f"mask, {name}"]), vocabulary, numbers)
            lines = completion.count("\n")
            if number % 2 and lines:
                rest_of_time = time.process_time() - begin - (sum(times[f"mask, {name}"]) - before)
                times["behind a line, all"].append(rest_of_time / lines)
            parsed = codec.parse(_SPEC, text, completion, 0, finished=problem is None)
            counts[name].update(parsed.rejected.model_dump() | {"answers": 1, "entities": len(parsed.entities)})
            counts[name]["failed"] += problem is not None
    return {
        **{name: dict(each) for name, each in counts.items()},
        "milliseconds": {
            name: {"median": round(1000 * float(np.median(each)), 2), "most": round(1000 * max(each), 2)}
            for name, each in times.items()
            if each
        },
    }


def main() -> int:
    """Print the report and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=10, help="number of posts of each length; default 10")
    parser.add_argument("--answers", type=int, default=10, help="number of answers of each kind on a post; default 10")
    parser.add_argument("--seed", type=int, default=53, help="seed of posts and answers; default 53")
    parser.add_argument("--output", type=Path, help="file of the report")
    chosen = parser.parse_args()
    report = {}
    for name, make in REAL.items():
        vocabulary = Vocabulary.of(make())
        for num_words in WORDS:
            # Long posts take long.
            num_answers = max(1, chosen.answers // max(1, num_words // 250))
            key = f"{name}, {num_words} words"
            report[key] = measure(vocabulary, num_words, chosen.posts, num_answers, chosen.seed)
            print(key, json.dumps(report[key]), file=sys.stderr, flush=True)
    print_report(report, chosen.output)
    wrong = ("failed", "malformed", "hallucinated", "unplaceable")
    return int(any(each["counted"].get(name) for each in report.values() for name in wrong))


if __name__ == "__main__":
    sys.exit(main())
