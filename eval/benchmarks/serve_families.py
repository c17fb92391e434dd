"""Every supported family under vLLM: tiny random model, adapter trained on it, pictures, grammar.

    python -m eval.benchmarks.serve_families --output families.json       all families; some minutes
    python -m eval.benchmarks.serve_families qwen3_vl gemma3              these families

Each family has a process of its own. It passes where vLLM loads model and adapter, the adapter changes the answers,
every answer on posts with pictures is legal, and the entities are those of transformers. The program prints one JSON
object; its exit code is 1 where a family fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import traceback
from math import isfinite
from pathlib import Path
from typing import Any

from eval.benchmarks.report_file import print_report
from instruct_mner.data.loading import load_split
from instruct_mner.models.families import FAMILIES

# Tiny models of a family whose decoder is another.
_OTHER_DECODERS = ("internvl3_5", "gemma4_shared")


def serve_one(family: str, folder: Path) -> dict[str, Any]:
    """Build and train a model, tag with both engines, and return the comparison."""
    from rich.console import Console
    from transformers import AutoConfig

    from instruct_mner.engines.vllm import VllmEngine
    from instruct_mner.models.description import describe_model
    from instruct_mner.models.merging import merge_adapter
    from instruct_mner.tagging.tagger import Tagger
    from instruct_mner.testing import build_tiny
    from instruct_mner.testing.posts import make_posts
    from instruct_mner.training.config import FinetuneConfig
    from instruct_mner.training.finetune import finetune
    from instruct_mner.vllm_runtime.adapter_checks import takes_adapters

    posts = make_posts(folder / "posts")
    dataset = load_split(str(posts))
    # vLLM's attention on the CPU takes heads of 32 and more.
    base = build_tiny(family, folder / "base", texts=[posts.read_text("utf-8")] * 4, width=128)
    config = FinetuneConfig.model_validate(
        {
            "model": str(base),
            "data": {"train": str(posts), "dev": str(posts)},
            "lora": {"rank": 32, "alpha": 64, "dropout": 0.0},
            "optimizer": {"epochs": 60, "batch_size": 6, "learning_rate": 1e-3},
            "evaluation": {"every_steps": 60},
            "output": str(folder / "run"),
        }
    )
    run = finetune(config, Console(quiet=True))
    adapts = takes_adapters(describe_model(str(base)).family, AutoConfig.from_pretrained(base))
    if not adapts:
        run = merge_adapter(run, folder / "merged")
    here = list(Tagger.from_pretrained(run).predict(dataset.examples, dataset.picture_paths))
    # vLLM's linear attention on the CPU takes bfloat16 alone, as which checkpoints of the family are published.
    dtype = ("--dtype=bfloat16",) if family == "qwen3_5" else ()
    tagger = Tagger.with_vllm(run, flags=("--max-model-len=2048", "--enforce-eager", *dtype))
    there = list(tagger.predict(dataset.examples, dataset.picture_paths))
    engine = tagger.engine
    assert isinstance(engine, VllmEngine)
    equal = sum(
        [(e.start, e.end, e.label) for e in a.entities] == [(e.start, e.end, e.label) for e in b.entities]
        for a, b in zip(here, there, strict=True)
    )
    changed = _change_by_adapter(engine, tagger, dataset) if adapts else None
    rejected = [each.rejected for each in there]
    report = {
        "posts": len(there),
        "with pictures": sum(bool(example.images) for example in dataset.examples),
        "entities": sum(len(each.entities) for each in there),
        "malformed": sum(each.malformed for each in rejected),
        "hallucinated": sum(each.hallucinated for each in rejected),
        "posts with the entities of transformers": equal,
        # Where no token is among the five most probable of both, nothing can be subtracted: it is surely changed.
        "largest change of a log-probability by the adapter": _shown(changed),
    }
    report["passed"] = not report["hallucinated"] and equal == len(there) and (changed is None or changed > 0.02)
    return report


def _shown(change: float | None) -> float | str:
    if change is None:
        return "merged: vLLM takes no adapters on this model here"
    return round(change, 3) if isfinite(change) else "no common token"


def _change_by_adapter(engine: Any, tagger: Any, dataset: Any) -> float:
    """Return the largest change of a log-probability of the first token of an answer by the adapter."""
    from instruct_mner.images import open_image

    spec = tagger.answer_spec()
    changes = []
    for example in dataset.examples:
        images = tuple(map(open_image, dataset.picture_paths(example)[: tagger.manifest.max_images]))
        request = tagger.questions.question(example, images, spec).request
        settings = engine._sampling(request, 0.0, 0)
        settings.structured_outputs, settings.max_tokens, settings.logprobs = None, 1, 5
        prompt = engine._prompt(request)
        adapted, plain = (
            engine._llm.generate([prompt], [settings], use_tqdm=False, lora_request=lora)[0].outputs[0].logprobs[0]
            for lora in (engine._adapter, None)
        )
        changes += [abs(adapted[token].logprob - plain[token].logprob) for token in adapted.keys() & plain.keys()]
        changes += [float("inf")] if not adapted.keys() & plain.keys() else []
    return max(changes)


def _in_a_process(family: str, seconds: int, logs: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "eval.benchmarks.serve_families", family, "--one", str(result)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)  # noqa: S603
        except subprocess.TimeoutExpired:
            return {"passed": False, "error": f"more than {seconds} seconds"}
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
            (logs / f"{family}.log").write_text(done.stderr, "utf-8")
        if not result.exists():
            return {"passed": False, "error": done.stderr[-600:]}
        return dict(json.loads(result.read_text("utf-8")))


def main() -> int:
    """Print the report and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="families to run; default all")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="file of the report; what it says of other families stays")
    parser.add_argument("--logs", type=Path, help="folder of the log of each family")
    parser.add_argument(
        "--seconds", type=int, default=1200, help="seconds after which a family is given up; default 1200"
    )
    chosen = parser.parse_args()
    if chosen.one is not None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                report = serve_one(chosen.families[0], Path(folder))
            except Exception as error:
                traceback.print_exc()
                report = {"passed": False, "error": f"{type(error).__name__}: {str(error)[-600:]}"}
        chosen.one.write_text(json.dumps(report))
        return 0
    old = chosen.output is not None and chosen.families and chosen.output.exists()
    reports = json.loads(chosen.output.read_text("utf-8")) if old else {}
    for family in chosen.families or (*FAMILIES, *_OTHER_DECODERS):
        reports[family] = _in_a_process(family, chosen.seconds, chosen.logs)
        print(family, json.dumps(reports[family]), file=sys.stderr, flush=True)
    print_report(reports, chosen.output)
    return int(not all(each["passed"] for each in reports.values()))


if __name__ == "__main__":
    sys.exit(main())
