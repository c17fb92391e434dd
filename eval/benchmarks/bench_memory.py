"""Largest memory of ``validate``, ``convert`` and ``evaluate`` on very many posts.

    python -m eval.benchmarks.bench_memory --output eval/results/memory.json

Posts are written anew: 12 words, two entities, and of every fifth a picture that is not there. Predictions are the gold
with a tenth of the types changed. Each command runs in a process of its own; the number is its largest resident set.
The exit code is 1 where one takes more than ``--most`` MiB, or fails.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from eval.benchmarks.report_file import print_report
from instruct_mner.schema.records import Entity, Example, PredictedEntity, Prediction

_COMMANDS = ("validate", "convert to JSONL", "convert to CoNLL", "evaluate")
_LABELS = ("PER", "LOC", "ORG", "MISC")
_WORDS = ("the", "game", "with", "fans", "tonight", "great", "news", "from", "our", "team")
_NAMES = ("Kevin Durant", "Paris", "Warriors", "Taylor Swift", "New York", "Nike")


def posts(number: int, seed: int) -> Iterator[tuple[Example, Prediction]]:
    """Yield annotated posts, each with a prediction."""
    draw = random.Random(seed)  # noqa: S311 (no secret)
    for index in range(number):
        first, second = draw.sample(_NAMES, 2)
        parts = (first, " ".join(draw.choices(_WORDS, k=5)), second, " ".join(draw.choices(_WORDS, k=4)))
        text = " ".join(parts)
        start = len(parts[0]) + len(parts[1]) + 2
        spans = ((0, len(first), first), (start, start + len(second), second))
        gold = [Entity(start=a, end=b, text=name, label=draw.choice(_LABELS)) for a, b, name in spans]
        predicted = [
            PredictedEntity(
                start=each.start,
                end=each.end,
                text=each.text,
                label=each.label if draw.random() < 0.9 else draw.choice(_LABELS),
                score=round(draw.random(), 4),
            )
            for each in gold
        ]
        images = (f"{index}.jpg",) if index % 5 == 0 else ()
        example = Example(id=str(index), text=text, images=images, entities=tuple(gold))
        yield example, Prediction(id=str(index), text=text, images=images, entities=tuple(predicted))


def peak(command: Sequence[str]) -> dict[str, float]:
    """Run a command and return its largest resident set in MiB, its processor time in seconds and its exit code."""
    begin = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 (our own program)
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    if code:
        print(said[-2000:], file=sys.stderr)
    return {
        "MiB": round(usage.ru_maxrss / 1024),
        "processor seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "seconds": round(time.perf_counter() - begin, 1),
        "exit code": code,
    }


def main() -> int:
    """Print the report and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=200_000, help="number of posts; default 200000")
    parser.add_argument(
        "--resamples", type=int, default=200, help="resamples of evaluate, whose memory does not grow; default 200"
    )
    parser.add_argument("--most", type=int, default=600, help="largest memory in MiB; default 600")
    parser.add_argument("--commands", nargs="+", choices=_COMMANDS, default=_COMMANDS, help="commands; default all")
    parser.add_argument("--output", type=Path, help="file of the report")
    chosen = parser.parse_args()
    report: dict[str, object] = {
        "posts": chosen.posts, "resamples": chosen.resamples, "limit in MiB": chosen.most,
        "python": platform.python_version(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        gold, predicted = Path(folder) / "gold.jsonl", Path(folder) / "predicted.jsonl"
        with gold.open("w", encoding="utf-8") as one, predicted.open("w", encoding="utf-8") as other:
            for example, prediction in posts(chosen.posts, seed=0):
                one.write(example.model_dump_json(exclude_none=True) + "\n")
                other.write(prediction.model_dump_json(exclude_none=True) + "\n")
        ours = [sys.executable, "-m", "instruct_mner"]
        commands = {  # in the order of _COMMANDS
            "validate": [*ours, "validate", str(gold), "--missing-image", "text"],
            "convert to JSONL": [*ours, "convert", str(gold), f"{folder}/out.jsonl", "--missing-image", "keep"],
            "convert to CoNLL": [*ours, "convert", str(gold), f"{folder}/out.conll", "--missing-image", "keep"],
            "evaluate": [*ours, "evaluate", str(gold), str(predicted), "--resamples", str(chosen.resamples)],
        }
        results = {name: peak(command) for name, command in commands.items() if name in chosen.commands}
    report["commands"] = results
    print_report(report, chosen.output)
    return int(any(each["MiB"] > chosen.most or each["exit code"] for each in results.values()))


if __name__ == "__main__":
    sys.exit(main())
