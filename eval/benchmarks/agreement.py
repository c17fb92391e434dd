"""Agreement of a served adapter with the same adapter in transformers: F1 of both, each difference explained.

    instruct-mner synth HELD --num 500 --split test --domain held-out --linking winds
    python -m eval.benchmarks.agreement eval/results/starter-demo HELD/test.jsonl --output agreement.json

vLLM runs in this process with the settings of ``serve``; ``--endpoint URL --name NAME`` adds a running server. Both
sides run in the model's own type and in float32, and count occurrences.

A difference is explained where transformers itself gives several
answers in other orders of sums (batches of another size, float32), or where the two answers part at a token whose
probabilities, in float32, lie closer than ``--tie`` in their logarithm: bfloat16 rounds them to either side. The
program prints one JSON object; its exit code is 1 where F1 differs by more than half a point, or a difference is not
explained.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from eval.benchmarks.report_file import print_report
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.loading import load_split
from instruct_mner.schema.records import Prediction
from instruct_mner.scoring import score_spans
from instruct_mner.tagging.tagger import Tagger

Keys = list[tuple[int, int, str]]


def _keys(prediction: Prediction) -> Keys:
    return [(each.start, each.end, each.label) for each in prediction.entities]


def by_transformers(adapter: str, dataset: Dataset, dtype: Any, batch_size: int) -> list[Prediction]:
    """Return the predictions of transformers in this process."""
    tagger = Tagger.from_pretrained(adapter, dtype=dtype, batch_size=batch_size)
    return list(tagger.predict(dataset.examples, dataset.picture_paths))


def by_vllm(adapter: str, dataset: Dataset, dtype: str, missing_image: str = "error") -> list[Prediction]:
    """Return the predictions of vLLM in a process of its own, because vLLM starts once in each process."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.jsonl"
        flags = ["--vllm=--max-model-len=2048", *([] if dtype == "auto" else [f"--vllm=--dtype={dtype}"])]
        posts = f"{dataset.format}:{dataset.path}"
        command = [sys.executable, "-m", "instruct_mner", "tag", posts, "--adapter", adapter]
        command += ["--missing-image", missing_image]
        subprocess.run([*command, "--engine", "vllm", "-o", str(output), *flags], check=True)  # noqa: S603
        return [Prediction.model_validate_json(line) for line in output.open(encoding="utf-8")]


def by_server(url: str, name: str, adapter: str, dataset: Dataset) -> list[Prediction]:
    """Return the predictions of a running server."""
    tagger = Tagger.connect(url, model=name, adapter=adapter)
    return list(tagger.predict(dataset.examples, dataset.picture_paths))


def smallest_gap(adapter: str, dataset: Dataset, number: int) -> float:
    """Return the least difference, in float32, of the logarithms of the two likeliest legal tokens of an answer."""
    import torch

    from instruct_mner.engines import constraint
    from instruct_mner.images import open_image

    gaps: list[float] = []
    constrained = constraint.constrained

    def watching(*arguments: Any) -> Any:
        masked = constrained(*arguments)
        best = torch.topk(masked.float(), 2, dim=-1).values[0]
        gaps.append(float(best[0] - best[1]))
        return masked

    tagger = _float32(adapter)
    example = dataset.examples[number]
    question = tagger.questions.question(
        example, tuple(map(open_image, dataset.picture_paths(example))), tagger.answer_spec()
    )
    with mock.patch("instruct_mner.engines.transformers.constrained", watching):
        tagger.engine.generate([question.request])
    return min(gaps)


_FLOAT32: dict[str, Tagger] = {}


def _float32(adapter: str) -> Tagger:
    if adapter not in _FLOAT32:
        _FLOAT32[adapter] = Tagger.from_pretrained(adapter, dtype="float32")
    return _FLOAT32[adapter]


def compare(
    dataset: Dataset, adapter: str, sides: dict[str, list[Prediction]], pairs: Sequence[tuple[str, str]], tie: float
) -> dict[str, Any]:
    """Return F1 of each side, and the agreement of each pair of sides."""
    f1 = {name: 100 * score_spans(dataset.examples, each).micro.score.f1 for name, each in sides.items()}
    transformers = [name for name in sides if name.startswith("transformers")]
    report: dict[str, Any] = {"posts": len(dataset.examples), "F1": {name: round(each, 2) for name, each in f1.items()}}
    for here, there in pairs:
        differ = [
            number for number, (a, b) in enumerate(zip(sides[here], sides[there], strict=True)) if _keys(a) != _keys(b)
        ]
        torn = [n for n in differ if len({str(_keys(sides[name][n])) for name in transformers}) > 1]
        gaps = {n: smallest_gap(adapter, dataset, n) for n in differ if n not in torn}
        report[f"{there} against {here}"] = {
            "difference of F1": round(f1[there] - f1[here], 2),
            "posts that agree exactly": len(dataset.examples) - len(differ),
            "differ; transformers differs from itself there": len(torn),
            f"differ; two tokens closer than {tie}": sum(gap < tie for gap in gaps.values()),
            "differ; not explained": [dataset.examples[n].id for n, gap in gaps.items() if gap >= tie],
            "gaps": [round(gap, 4) for gap in gaps.values()],
        }
    return report


def main() -> int:
    """Print the report and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", help="folder of the adapter")
    parser.add_argument("posts", help="annotated posts")
    parser.add_argument("--endpoint", metavar="URL", help="address of a server in the adapter's own type")
    parser.add_argument("--name", help="name of the adapter at the server")
    parser.add_argument(
        "--tie", type=float, default=0.1, help="largest difference of two logarithms that counts as a tie; default 0.1"
    )
    parser.add_argument("--missing-image", default="error", help="as in tag; default error")
    parser.add_argument("--float32", action="store_true", help="in float32 alone, as for models that read text only")
    parser.add_argument("--output", type=Path, help="file of the report")
    chosen = parser.parse_args()
    dataset = load_split(chosen.posts, missing_image=chosen.missing_image)
    exact = {
        "transformers, float32": by_transformers(chosen.adapter, dataset, "float32", 32),
        "vllm, float32": by_vllm(chosen.adapter, dataset, "float32", chosen.missing_image),
    }
    pairs = [("transformers, float32", "vllm, float32")]
    if chosen.float32:
        return _report(compare(dataset, chosen.adapter, exact, pairs, chosen.tie), chosen.output)
    sides = {
        "transformers": by_transformers(chosen.adapter, dataset, "auto", 32),
        "transformers, one by one": by_transformers(chosen.adapter, dataset, "auto", 1),
        "vllm": by_vllm(chosen.adapter, dataset, "auto", chosen.missing_image),
        **exact,
    }
    pairs.insert(0, ("transformers", "vllm"))
    if chosen.endpoint:
        sides["endpoint"] = by_server(chosen.endpoint, chosen.name, chosen.adapter, dataset)
        pairs.append(("transformers", "endpoint"))
    return _report(compare(dataset, chosen.adapter, sides, pairs, chosen.tie), chosen.output)


def _report(report: dict[str, Any], output: Path | None) -> int:
    print_report(report, output)
    exact = report["vllm, float32 against transformers, float32"]
    return int(abs(exact["difference of F1"]) > 0.5 or bool(exact["differ; not explained"]))


if __name__ == "__main__":
    sys.exit(main())
