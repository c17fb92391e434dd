"""Cost of the view with the picture and the bare one in one forward, over one forward each, by batch size.

    python -m eval.benchmarks.joint_views

On the starter, forward and backward, both with the prefix of all prompts computed once. The view of generated pictures
cannot join: its pictures are made from the states of the bare view. Both ways take turns; medians of the ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eval.benchmarks.bench_alignment import make_arms, write_posts


def joined(pictured: dict[str, Tensor], bare: dict[str, Tensor], padding: int) -> dict[str, Tensor]:
    """Return one batch of the rows of two, padded on the right to the longer."""
    length = pictured["input_ids"].shape[1]
    fill = {"input_ids": padding, "attention_mask": 0, "labels": -100}
    both = dict(pictured)
    for name, value in fill.items():
        rows = torch.nn.functional.pad(bare[name], (0, length - bare[name].shape[1]), value=value)
        both[name] = torch.cat([pictured[name], rows])
    return both


def seconds(work: Callable[[], Tensor], weights: list[Tensor]) -> float:
    """Return the seconds of the processor that a forward and its backward take."""
    begin = time.process_time()
    torch.autograd.grad(work(), weights, allow_unused=True)
    return time.process_time() - begin


def measure(batch_size: int, words: int, turns: int, folder: Path) -> dict[str, Any]:
    """Return lengths, tokens that are computed, and the median ratio of the times of both ways."""
    from instruct_mner.training.batch import VIEWS

    posts = write_posts(folder / "posts", batch_size, words)
    [arm] = make_arms("starter", posts, folder, batch_size, ["cross_view"]).values()
    trainer, forwards = arm.trainer, arm.trainer._forwards
    batch = arm.collator([{"index": index} for index in range(batch_size)])
    bare = batch.pop(VIEWS).text.batch
    both = joined(batch, bare, trainer.processing_class.tokenizer.pad_token_id)
    trainer.model.train()
    weights = [each for each in trainer.model.parameters() if each.requires_grad]

    def loss(inputs: dict[str, Tensor]) -> Tensor:
        arguments = {name: value for name, value in inputs.items() if name != "labels"}
        with trainer.accelerator.autocast(), forwards.with_shared_prefix(inputs):
            states: Tensor = forwards.backbone(**arguments, use_cache=False).last_hidden_state
        return states.float().square().mean()

    ratios = []
    for turn in range(turns + 1):
        ways = [lambda: loss(batch) + loss(bare), lambda: loss(both)]
        times = [0.0, 0.0]
        for way in (0, 1) if turn % 2 else (1, 0):
            times[way] = seconds(ways[way], weights)
        ratios.append(times[1] / times[0])
    return {
        "batch": batch_size, "words": words, "with picture": batch["input_ids"].shape[1],
        "bare": bare["input_ids"].shape[1], "in one forward over two": round(statistics.median(ratios[1:]), 3),
    }  # fmt: skip


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15, help="timed turns of each; default 15")
    arguments = parser.parse_args()
    for batch_size in (4, 16):
        for words in (12, 48):
            with tempfile.TemporaryDirectory() as folder:
                print(json.dumps(measure(batch_size, words, arguments.turns, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
