"""Speed of the scorer beside seqeval, on the same tags in the same run.

    python -m eval.benchmarks.bench_scorer [../shared/data/twitter2015/test.txt]

Predictions are the gold with a tenth of the tags changed. seqeval's ``classification_report`` gives the numbers of
``score_tags`` (per type, micro, macro, weighted); its ``f1_score`` gives one of them.
"""

from __future__ import annotations

import argparse
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from seqeval.metrics import classification_report, f1_score

from eval.gates.common import SHARED
from eval.gates.seqeval_comparison import SEQEVAL_SETTINGS, Tags, read_tags
from instruct_mner.schema.choices import Decode
from instruct_mner.scoring.tags import score_tags


def corrupt(gold: Tags, rate: float, random_tags: random.Random) -> Tags:
    """Return the same sequences with a share of the tags replaced by other tags of the set."""
    tags = sorted({tag for sequence in gold for tag in sequence})
    return [[random_tags.choice(tags) if random_tags.random() < rate else tag for tag in sequence] for sequence in gold]


def best_seconds(measured: Callable[[], object], repeats: int) -> float:
    """Return the shortest of several wall-clock times."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        measured()
        times.append(time.perf_counter() - begin)
    return min(times)


def speed_ratios(gold: Tags, predicted: Tags, decode: Decode, repeats: int) -> dict[str, float]:
    """Return our seconds, and how many times longer seqeval's report and F1 take."""
    strict = SEQEVAL_SETTINGS[decode]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = best_seconds(lambda: score_tags(gold, predicted, decode), 3 * repeats)
        report = best_seconds(lambda: classification_report(gold, predicted, output_dict=True, **strict), repeats)
        single = best_seconds(lambda: f1_score(gold, predicted, **strict), repeats)
    return {"ours_seconds": ours, "classification_report": report / ours, "f1_score": single / ours}


def main() -> None:
    """Print the ratios for both decodings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("conll", type=Path, nargs="?", default=SHARED / "twitter2015" / "test.txt", help="CoNLL file")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    gold = read_tags(arguments.conll)
    predicted = corrupt(gold, 0.1, random.Random(0))  # noqa: S311 (no secret)
    decodings: tuple[Decode, ...] = ("tolerant", "strict")
    for decode in decodings:
        ratios = speed_ratios(gold, predicted, decode, arguments.repeats)
        print(
            f"{decode}: ours {1000 * ratios['ours_seconds']:.1f} ms; seqeval takes "
            f"{ratios['classification_report']:.0f} x for its report, {ratios['f1_score']:.0f} x for F1 alone"
        )


if __name__ == "__main__":
    main()
