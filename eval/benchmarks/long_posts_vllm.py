"""Real vLLM on posts of 20 to 5,000 words with vocabularies of real models: no answer is cut, empty or illegal.

    python -m eval.benchmarks.long_posts_vllm --num 10000 --output eval/results/serving/long-posts-vllm.json

The gate ``long-posts`` draws from the matchers that vLLM uses; here vLLM itself draws, from a small Mistral of random
weights with the vocabulary of SmolLM2 (49,152 tokens) or Tekken (131,072), as close to a published one as is possible
without its weights. Formats, labels, boxes and posts are those of the gate; the text is asked about as ``tag`` would.

Each vocabulary has a process of its own. Prints one JSON object; the exit code is 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from eval.benchmarks.report_file import print_report
from eval.gates.common import seeded
from eval.gates.lengths import WORDS, long_question
from eval.gates.vocabularies import tekken_file
from eval.gates.walks import examine
from instruct_mner.answers import codec
from instruct_mner.engines.engine import Completion, Engine, Request
from instruct_mner.engines.grammar_check import grammar_state
from instruct_mner.prompting.conversation import user_messages
from instruct_mner.prompting.templates import find_prompt, shown_text
from instruct_mner.tagging.question import max_answer_tokens

VOCABULARIES = ("smollm2", "tekken")
_WINDOW = 49_152
# Posts of one length that are sent at once, and answers drawn on each of them; all of a post's share its prompt.
_POSTS, _ANSWERS = 16, 5


def build(vocabulary: str, folder: Path) -> Path:
    """Make a small Mistral of random weights with a real vocabulary.

    Args:
        vocabulary: One of ``VOCABULARIES``.
        folder: Folder of the output.
    """
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM, set_seed

    from instruct_mner.models.locations import SMOLLM2, locate

    set_seed(0)
    if vocabulary == "tekken":
        from transformers.integrations.mistral import convert_tekken_tokenizer

        tokenizer = convert_tekken_tokenizer(str(tekken_file()))
    else:
        tokenizer = AutoTokenizer.from_pretrained(locate(SMOLLM2))
    model = MistralForCausalLM(
        MistralConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=_WINDOW,
            sliding_window=None,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
            tie_word_embeddings=True,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def measure(vocabulary: str, num: int, folder: Path) -> dict[str, Any]:
    """Draw answers, and count those that are cut, empty or illegal, by length and format."""
    from instruct_mner.engines.vllm import VllmEngine

    flags = (f"--max-model-len={_WINDOW}", "--enforce-eager", "--dtype=float32", "--max-num-batched-tokens=8192")
    engine = VllmEngine(VllmEngine.plan(str(build(vocabulary, folder))), flags)
    generator, seed = seeded(53), 0
    counts: Counter[str] = Counter(completions=0, cut=0, empty=0, illegal=0)
    kinds: Counter[str] = Counter()
    most_tokens, wrong, begin = 0, [], time.perf_counter()
    while counts["completions"] < num:
        asked = [(words, *long_question(generator, words)) for words in WORDS for _ in range(_POSTS)]
        requests = [_request(engine, text, spec) for _, text, spec in asked]
        most_tokens = max(most_tokens, *map(engine.count_prompt, requests))
        for _ in range(_ANSWERS):
            seed += 1
            for (words, text, spec), request, completion in zip(
                asked, requests, engine.generate(requests, temperature=1.0, seed=seed), strict=True
            ):
                kinds[f"{spec.format}{', grounded' if spec.grounded else ''}, {words} words"] += 1
                problem = _problem(spec, text, request, completion, counts)
                wrong += [f"{problem}: {completion.text[:200]!r} on {words} words, {spec.format}"] if problem else []
        print(f"{vocabulary}: {counts['completions']} of {num}, {len(wrong)} wrong", file=sys.stderr, flush=True)
    return {
        **counts,
        "tokens of the vocabulary": int(json.loads((folder / "config.json").read_text())["vocab_size"]),
        "tokens of the longest prompt": most_tokens,
        "by format and length": dict(sorted(kinds.items())),
        "wrong": len(wrong),
        "first wrong": wrong[:3],
        "seconds": round(time.perf_counter() - begin, 1),
    }


def _request(engine: Engine, text: str, spec: Any) -> Request:
    text = shown_text(text, engine.special_tokens())
    return Request(
        user_messages(find_prompt("zero-shot"), spec, text, 0),
        (),
        codec.grammar(spec, text, 0),
        # Random weights write words letter by letter.
        max_answer_tokens(spec, text, lambda written: len(written.encode())),
    )


def _problem(spec: Any, text: str, request: Request, completion: Completion, counts: Counter[str]) -> str | None:
    """Count a completion, and return its defect, if any."""
    counts["completions"] += 1
    if not completion.finished:
        counts["cut"] += 1
        return "failed" if completion.failed else "cut"
    if not completion.text.strip():
        counts["empty"] += 1
        return "empty"
    assert request.grammar is not None
    if grammar_state(request.grammar, completion.text) != "whole":
        counts["illegal"] += 1
        return "ended before its end"
    problem = examine(spec, text, completion.text, 0, counts)
    counts["illegal"] += problem is not None
    return problem


def main() -> int:
    """Print the counts of all vocabularies and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabularies", nargs="*", default=VOCABULARIES, help="vocabularies; default all")
    parser.add_argument("--num", type=int, default=10_000, help="completions of each vocabulary; default 10,000")
    parser.add_argument("--output", type=Path, help="file of the report")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.one is not None:
            report = measure(chosen.vocabularies[0], chosen.num, Path(folder) / "model")
            chosen.one.write_text(json.dumps(report))
            return 0
        reports = {}
        for name in chosen.vocabularies:
            result = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", "eval.benchmarks.long_posts_vllm", name, "--num", str(chosen.num)]
            subprocess.run([*command, "--one", str(result)], check=True)  # noqa: S603  # noqa: S603
            reports[name] = json.loads(result.read_text())
    print_report(reports, chosen.output)
    return int(any(report["wrong"] for report in reports.values()))


if __name__ == "__main__":
    sys.exit(main())
