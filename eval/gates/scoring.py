"""Gates of the scorer: against seqeval, and on the baseline of every grounded table."""

from __future__ import annotations

import tempfile
from pathlib import Path

from eval.benchmarks import bench_scorer
from eval.gates.common import Result, run_program_json, seeded, shared_data
from eval.gates.seqeval_comparison import corrupted, largest_difference, read_tags
from instruct_mner.data.loading import load_split
from instruct_mner.files import replacing
from instruct_mner.schema.choices import Decode
from instruct_mner.schema.records import PredictedEntity, Prediction

_DECODINGS: tuple[Decode, ...] = ("tolerant", "strict")
_SENTENCES = 25
"""Number of sentences of Twitter-2015 in one comparison with seqeval."""


def seqeval() -> Result:
    """Compare every number of seqeval's report with ours, over 1,000 random corruptions, default and strict."""
    whole = read_tags(shared_data("twitter2015") / "test.txt")
    worst = {}
    for decode in _DECODINGS:
        generator = seeded(15)
        worst[decode] = 0.0
        for _ in range(1000):
            gold = generator.sample(whole, _SENTENCES)
            predicted = corrupted(gold, generator.choice([0.02, 0.1, 0.5]), generator)
            worst[decode] = max(worst[decode], largest_difference(gold, predicted, decode))
    return Result(value=worst, bound="largest difference at most 1e-12", passed=max(worst.values()) <= 1e-12)


def scorer_speed() -> Result:
    """Measure how many times longer seqeval takes for the same report on the same tags, in one run."""
    gold = read_tags(shared_data("twitter2015") / "test.txt")
    predicted = bench_scorer.corrupt(gold, 0.1, seeded(0))
    value, slowest = {}, float("inf")
    for decode in _DECODINGS:
        ratios = bench_scorer.speed_ratios(gold, predicted, decode, repeats=3)
        slowest = min(slowest, ratios["classification_report"])
        value[f"{decode}: report"] = round(ratios["classification_report"], 1)
        value[f"{decode}: f1_score alone"] = round(ratios["f1_score"], 1)
    return Result(value=value, bound="report at least 10 times as fast", passed=slowest >= 10)


def not_visible_baseline() -> Result:
    """Score GMNER test with perfect text and "not visible" everywhere by `evaluate`."""
    source = f"gmner:{shared_data('gmner') / 'txt' / 'test.txt'}"
    gold = load_split(source, missing_image="keep").examples
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "blind.jsonl"
        with replacing(path) as file:
            for example in gold:
                entities = tuple(PredictedEntity(**{**dict(entity), "boxes": ()}) for entity in example.gold)
                blind = Prediction(id=example.id, text=example.text, images=example.images, entities=entities)
                file.write(blind.model_dump_json(exclude_none=True) + "\n")
        triples = run_program_json("evaluate", source, str(path), "--json", "--resamples", "100")["triples"]
    score = 100 * triples["gmner"]["f1"]
    return Result(
        value={
            "F1 of the triple, %": round(score, 2),
            "right": triples["gmner"]["correct"],
            "gold": triples["gmner"]["gold"],
            "gold visible": triples["visible"]["gold"],
            "gold not visible": triples["invisible"]["gold"],
        },
        bound="58.7 to 58.9",
        passed=58.7 <= score <= 58.9,
    )
