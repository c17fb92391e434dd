"""Posts a second: ``tag`` in this process against ``generate`` of transformers as its documentation shows it.

    OMP_NUM_THREADS=1 taskset -c 0 python -m eval.benchmarks.tag_speed --output eval/results/tag-speed.json

The starter in float32 on synthetic posts without pictures. Both sides are given the same prompts, and write greedily:

- lines: ``tag``, under its grammar; ``generate`` in batches, without any constraint;
- JSON: ``tag``, under its grammar; ``generate`` in batches with xgrammar's processor for the same JSON schema.

``generate`` takes the posts in their order, in batches padded on the left. All sides run in turns, in one process with
one thread, and are timed by the clock of the processor. The starter was trained to write lines; that its JSON means
nothing does not matter here, but its length does: so tokens a second are given too.

Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import xgrammar
from transformers import LogitsProcessorList
from xgrammar.contrib.hf import LogitsProcessor

from eval.benchmarks.report_file import print_report
from instruct_mner import Tagger
from instruct_mner.engines.engine import Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.schema.records import Example
from instruct_mner.synthetic.posts import posts
from instruct_mner.synthetic.settings import Synthesis

LABELS = ("PER", "LOC", "ORG", "OTHER")
Side = Callable[[Sequence[Request]], int]
"""Answers requests; the number of tokens that it wrote."""


class Sides:
    """Programs that answer.

    Args:
        tagger: Tagger with the model in this process.
        batch_size: Batch size of ``generate``.
    """

    def __init__(self, tagger: Tagger, batch_size: int) -> None:
        assert isinstance(tagger.engine, TransformersEngine)
        self._engine, self._batch_size = tagger.engine, batch_size
        self._loaded = tagger.engine.loaded
        tokens = xgrammar.TokenizerInfo.from_huggingface(
            self._loaded.tokenizer, vocab_size=self._loaded.vocabulary_size, stop_token_ids=self._loaded.end_tokens
        )
        self._compiler = xgrammar.GrammarCompiler(tokens)

    def tag(self, requests: Sequence[Request]) -> int:
        """Answer as ``tag`` does."""
        return sum(len(each.tokens) for each in self._engine.generate(requests))

    def generate(self, requests: Sequence[Request]) -> int:
        """Answer with ``generate``, without a constraint."""
        return self._generate(requests, constrained=False)

    def generate_json(self, requests: Sequence[Request]) -> int:
        """Answer with ``generate`` and xgrammar."""
        return self._generate(requests, constrained=True)

    @torch.no_grad()
    def _generate(self, requests: Sequence[Request], *, constrained: bool) -> int:
        processor, pad = self._loaded.processor, self._loaded.tokenizer.pad_token_id
        num_tokens = 0
        for start in range(0, len(requests), self._batch_size):
            batch = requests[start : start + self._batch_size]
            texts = [
                processor.apply_chat_template(each.messages, add_generation_prompt=True, tokenize=False)
                for each in batch
            ]
            inputs = processor(
                text=texts, padding=True, padding_side="left", return_tensors="pt", add_special_tokens=False
            )
            processors = LogitsProcessorList()
            if constrained:
                compiled = self._compiler.compile_json_schema(json.dumps(batch[0].schema), any_whitespace=False)
                processors.append(LogitsProcessor(compiled))
            written = self._loaded.model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=max(each.max_tokens for each in batch),
                eos_token_id=self._loaded.end_tokens,
                pad_token_id=pad,
                logits_processor=processors,
            )[:, inputs["input_ids"].shape[1] :]
            ended = torch.isin(written, torch.tensor([*self._loaded.end_tokens, pad])).int().cumsum(dim=1) > 0
            num_tokens += int((~ended).sum())
        return num_tokens


def compare(requests: Sequence[Request], ours: Side, other: Side, rounds: int) -> dict[str, Any]:
    """Time two sides, in turns."""
    sides = {"tag": ours, "generate": other}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    tokens: dict[str, int] = {}
    for side in sides.values():
        side(requests[:4])
    for _ in range(rounds):
        for name, side in sides.items():
            begin = time.process_time()
            tokens[name] = side(requests)
            seconds[name].append(time.process_time() - begin)
    ratios = [b / a for a, b in zip(seconds["tag"], seconds["generate"], strict=True)]
    per_token = tokens["tag"] / tokens["generate"]
    return {
        "posts": len(requests),
        **{
            f"{name}, posts a second": round(len(requests) / statistics.median(each), 1)
            for name, each in seconds.items()
        },
        **{f"{name}, tokens a post": round(number / len(requests), 1) for name, number in tokens.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratio of tokens a second": round(statistics.median(ratios) * per_token, 2),
        "of each round": [round(ratio, 2) for ratio in ratios],
    }


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=200, help="number of posts; default 200")
    parser.add_argument("--rounds", type=int, default=3, help="number of times that each side runs; default 3")
    parser.add_argument("--batch-size", type=int, default=32, help="batch size of generate; default 32")
    parser.add_argument("--output", type=Path, help="file of the report")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    tagger = Tagger.from_pretrained("starter", dtype="float32")
    sides = Sides(tagger, chosen.batch_size)
    texts = [post.text for post in islice(posts(Synthesis(split="test"), 5), chosen.posts)]
    made = [(Example(id=str(number), text=text), ()) for number, text in enumerate(texts)]
    lines = tagger.answer_spec(LABELS)
    as_json = lines.model_copy(update={"format": "json", "max_entities": 4})

    def requests(spec: Any) -> list[Request]:
        return [question.request for question in tagger.questions_about(made, spec)[0]]

    report = {
        "model": f"starter, float32, one thread; generate in batches of {chosen.batch_size}",
        "lines, against generate": compare(requests(lines), sides.tag, sides.generate, chosen.rounds),
        "JSON, against generate with xgrammar": compare(
            requests(as_json), sides.tag, sides.generate_json, chosen.rounds
        ),
    }
    print_report(report, chosen.output)


if __name__ == "__main__":
    main()
