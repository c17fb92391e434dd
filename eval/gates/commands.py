"""Gates of the command line: the counts of ``validate``, and the time of ``--help``."""

from __future__ import annotations

from typing import Any

from eval.benchmarks import bench_start
from eval.gates import published_counts
from eval.gates.common import Result, run_program_json, shared_data


def validate_counts() -> Result:
    """Compare the counts of `validate --json` with the published ones, in both decodings, by type for test splits."""
    compared, wrong = 0, []
    for name in published_counts.TEST_TYPES:
        splits = published_counts.SPLITS[name]
        for decode in ("tolerant", "strict"):
            for split, measured, expected in _pairs(name, decode, splits, published_counts.TEST_TYPES[name]):
                compared += 1
                if measured != expected:
                    wrong.append(f"{name}/{split} {decode}: {measured}, published {expected}")
    return Result(
        value={"counts compared": compared, "wrong": wrong},
        bound="0 wrong",
        passed=not wrong,
    )


def _pairs(name: str, decode: str, splits: list[Any], test_types: dict[str, int]) -> list[tuple[str, Any, Any]]:
    """Return split, measured and published count for each split, and the types of the test split."""
    arguments = (str(shared_data(name)), "--missing-image", "text", "--decode", decode, "--json")
    report = run_program_json("validate", *arguments)
    pairs: list[tuple[str, Any, Any]] = [("problems", report["problems"], [])]
    for measured, (posts, tolerant, strict) in zip(report["datasets"], splits, strict=True):
        split = measured["name"].rpartition("/")[2]
        entities = {"tolerant": tolerant, "strict": strict}
        pairs.append((split, measured["num_posts"], posts))
        pairs.append((split, measured["num_entities"], entities))
        pairs.append((split, sum(measured["num_by_label"].values()), entities[decode]))
        if split == "test" and decode == "tolerant":
            pairs.append((split, measured["num_by_label"], test_types))
    return pairs


def help_time() -> Result:
    """Measure the time of `instruct-mner --help` against an empty Python."""
    seconds = bench_start.measure()
    return Result(
        value={name: round(value, 3) for name, value in seconds.items()},
        bound="difference of at most 0.4 s",
        passed=seconds["difference_seconds"] <= 0.4,
    )
