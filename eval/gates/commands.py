"""Gates of the command line as such: the counts of ``validate``, and how soon ``--help`` answers."""

from __future__ import annotations

from typing import Any

from eval.benchmarks import bench_start
from eval.gates import published_counts
from eval.gates.common import Result, run_program_json, shared_data


def validate_counts() -> Result:
    """`validate --json` gives every published count, in both decodings, and the types of the test splits."""
    compared, wrong = 0, []
    for name in published_counts.TEST_TYPES:
        splits = published_counts.SPLITS[name]
        for decode in ("tolerant", "strict"):
            for split, found, expected in _pairs(name, decode, splits, published_counts.TEST_TYPES[name]):
                compared += 1
                if found != expected:
                    wrong.append(f"{name}/{split} {decode}: {found}, published {expected}")
    return Result(
        value={"counts compared": compared, "wrong": wrong},
        bound="0 wrong",
        passed=not wrong,
    )


def _pairs(name: str, decode: str, splits: list[Any], test_types: dict[str, int]) -> list[tuple[str, Any, Any]]:
    """What was found beside what was published, a split each, and the types of the test split."""
    arguments = (str(shared_data(name)), "--missing-image", "text", "--decode", decode, "--json")
    report = run_program_json("validate", *arguments)
    pairs: list[tuple[str, Any, Any]] = [("problems", report["problems"], [])]
    for found, (posts, tolerant, strict) in zip(report["datasets"], splits, strict=True):
        split = found["name"].rpartition("/")[2]
        entities = {"tolerant": tolerant, "strict": strict}
        pairs.append((split, found["num_posts"], posts))
        pairs.append((split, found["num_entities"], entities))
        pairs.append((split, sum(found["num_by_label"].values()), entities[decode]))
        if split == "test" and decode == "tolerant":
            pairs.append((split, found["num_by_label"], test_types))
    return pairs


def help_time() -> Result:
    """`instruct-mner --help` against an empty Python."""
    seconds = bench_start.measure()
    return Result(
        value={name: round(value, 3) for name, value in seconds.items()},
        bound="difference of at most 0.4 s",
        passed=seconds["difference_seconds"] <= 0.4,
    )
