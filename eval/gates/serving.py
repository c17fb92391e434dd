"""Gates of serving: real vLLM on the starter. ``eval/results/serving.md`` names the programs of longer measurements."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eval.gates.common import ROOT, Result, SkippedGateError, run_program, run_program_json
from instruct_mner.models.locations import STARTER_FOLDER
from instruct_mner.synthetic.label_sets import COARSE, HELD_OUT
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.write import synth

ADAPTER = ROOT / "eval" / "results" / "starter-demo"
_MINUTES = 30


def served_agreement() -> Result:
    """Compare the adapter of the demo under vLLM and in transformers on 500 posts; each difference is explained."""
    with tempfile.TemporaryDirectory() as temporary:
        synthesis = Synthesis(domain=HELD_OUT, linking="winds", split="test")
        posts = synth(Path(temporary), synthesis, 500, seed=11).path
        value = _script("agreement", str(ADAPTER), str(posts))
    exact = value["vllm, float32 against transformers, float32"]
    passed = abs(exact["difference of F1"]) <= 0.5 and not exact["differ; not explained"]
    return Result(value=value, bound="F1 within 0.5 in the same arithmetic, each difference explained", passed=passed)


def calibrated() -> Result:
    """Measure ECE of the starter on held-out posts before and after ``calibrate`` on others; F1 does not change."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dev = synth(folder / "dev", Synthesis(domain=COARSE, split="dev"), 500, seed=12).path
        test = synth(folder / "test", Synthesis(domain=COARSE, split="test"), 500, seed=13).path
        model = Path(shutil.copytree(STARTER_FOLDER, folder / "model"))
        before = _f1(model, test, folder / "before.jsonl")
        fast = ("--batch-size", "32")
        report = run_program_json("calibrate", str(model), str(dev), "--held-out", str(test), "--json", *fast)
        after = _f1(model, test, folder / "after.jsonl")
    ece = {name: round(report[name]["ece"]["value"], 4) for name in ("before", "after")}
    value = {
        "temperature": report["temperature"],
        "shift": report["shift"],
        "ECE": ece,
        "F1": {"before": before, "after": after},
    }
    passed = ece["after"] <= max(0.03, ece["before"] / 2) and before == after
    return Result(value=value, bound="ECE after at most the larger of 0.03 and half of before; F1 equal", passed=passed)


def constrained() -> Result:
    """Parse 600 completions of the starter under vLLM at temperature 1.5, half of them on posts that break answers."""
    flags = ("--prefix", " ", "--window", "16384", "--vllm=--max-model-len=16384", "--vllm=--enforce-eager")
    value = _script("constrained", "vllm", "--model", "starter", "--num", "600", *flags)
    passed = value["completions"] == 600 and not (value["malformed"] or value["hallucinated"] or value["wrong"])
    return Result(value=value, bound="0 malformed, 0 hallucinated", passed=passed)


def _f1(model: Path, posts: Path, output: Path) -> float:
    run_program("tag", str(posts), "--model", str(model), "-o", str(output), "--batch-size", "32")
    scores = run_program_json("evaluate", str(posts), str(output), "--json")
    return float(scores["micro"]["f1"])


def _script(name: str, *arguments: str) -> Any:
    """Run a benchmark in a process of its own, as its documentation says, and return its report."""
    if find_spec("vllm") is None:
        raise SkippedGateError("vLLM is not installed (make setup brings it)")
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) / "report.json"
        command = [sys.executable, "-m", f"eval.benchmarks.{name}", *arguments, "--output", str(output)]
        done = subprocess.run(  # noqa: S603 (our own program)
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60 * _MINUTES
        )
        if not output.exists():
            raise RuntimeError(done.stderr[-2000:])
        return json.loads(output.read_text("utf-8"))
