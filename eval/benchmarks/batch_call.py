"""Time of ``tagger(texts)`` against a call for each text, with the starter in float32.

    OMP_NUM_THREADS=1 taskset -c 0 python -m eval.benchmarks.batch_call --output eval/results/batch-call.json

Both sides run in turns on the same synthetic posts, in one process with one thread, and are timed by the clock of the
processor, so that other work on the machine hits neither. The entities of both sides must be the same.

Prints one JSON object.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from eval.benchmarks.report_file import print_report
from instruct_mner import Tagger
from instruct_mner.schema.records import Prediction
from instruct_mner.synthetic.posts import posts
from instruct_mner.synthetic.scene import draw_scene
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.tagging.predictions import Predictions

LABELS = ("PER", "LOC", "ORG", "OTHER")


def timed(call: Callable[[], Sequence[Prediction]]) -> tuple[Sequence[Prediction], float]:
    """Return what a call returns, and the seconds of the processor that it takes."""
    begin = time.process_time()
    return call(), time.process_time() - begin


def entities(predictions: Sequence[Prediction]) -> list[list[tuple[int, int, str]]]:
    """Return places and labels of all entities."""
    return [[(each.start, each.end, each.label) for each in prediction.entities] for prediction in predictions]


def measure(tagger: Tagger, num_posts: int, rounds: int, *, pictures: bool) -> dict[str, Any]:
    """Time both sides, in turns, and compare their entities.

    Args:
        tagger: Tagger that is called.
        num_posts: Number of posts.
        rounds: Number of times that each side runs.
        pictures: Whether posts have pictures.
    """
    made = list(islice(posts(Synthesis(split="test"), 5), num_posts))
    texts = [post.text for post in made]
    images: list[Image.Image | None] = [draw_scene(post).image if pictures else None for post in made]

    def one_by_one() -> Predictions:
        return Predictions(
            tagger(text, image, LABELS, progress=False) for text, image in zip(texts, images, strict=True)
        )

    tagger(texts[:2], images[:2], LABELS, progress=False)
    ratios, slow, quick, different = [], [], [], 0
    for _ in range(rounds):
        single, single_seconds = timed(one_by_one)
        batch, batch_seconds = timed(lambda: tagger(texts, images, LABELS, progress=False))
        pairs = zip(entities(single), entities(batch), strict=True)
        different = max(different, sum(left != right for left, right in pairs))
        slow.append(single_seconds)
        quick.append(batch_seconds)
        ratios.append(single_seconds / batch_seconds)
    return {
        "posts": num_posts,
        "entities": sum(map(len, entities(batch))),
        "posts with other entities": different,
        "one by one, posts a second": round(num_posts / statistics.median(slow), 1),
        "batch, posts a second": round(num_posts / statistics.median(quick), 1),
        "ratio": round(statistics.median(ratios), 2),
        "of each round": [round(ratio, 2) for ratio in ratios],
    }


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=200, help="number of posts; default 200")
    parser.add_argument("--rounds", type=int, default=3, help="number of times that each side runs; default 3")
    parser.add_argument("--texts-only", action="store_true", help="leave out the posts with pictures")
    parser.add_argument("--output", type=Path, help="file of the report")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    tagger = Tagger.from_pretrained("starter", dtype="float32")
    report: dict[str, Any] = {"model": "starter, float32, one thread"}
    report["texts"] = measure(tagger, chosen.posts, chosen.rounds, pictures=False)
    if not chosen.texts_only:
        report["texts with pictures"] = measure(tagger, chosen.posts, chosen.rounds, pictures=True)
    print_report(report, chosen.output)


if __name__ == "__main__":
    main()
