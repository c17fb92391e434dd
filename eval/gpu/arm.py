"""One arm of fine-tuning, in a process of its own: ``python -m eval.gpu.arm CONFIG``; prints one line of JSON."""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn

from instruct_mner.console import quiet_libraries
from instruct_mner.training.batch import VIEWS
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import build_trainer, save_weights
from instruct_mner.training.setup import prepare
from instruct_mner.training.steps import StepClock, peak_bytes

# Dense bfloat16 products in a second. Source: NVIDIA's data sheets of H100 SXM, H200, A100 and L40S.
_MOST_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}


class _Counter:
    """Collator that counts posts, tokens and patches."""

    def __init__(self, collate: Any) -> None:
        self._collate = collate
        self.posts = self.tokens = self.patches = 0

    def __call__(self, rows: Any) -> Any:
        """Return the batch of some rows."""
        batch = self._collate(rows)
        self.posts += len(rows)
        parts = [batch]
        views = batch.get(VIEWS)
        if views is not None:
            parts += [each.batch for each in (views.text, views.teacher, views.generated) if each is not None]
        self.tokens += sum(int(each["attention_mask"].sum()) for each in parts)
        self.patches += sum(len(each["pixel_values"]) for each in parts if "pixel_values" in each)
        return batch


def _num_weights(module: nn.Module) -> int:
    # Weights in 4 bits are held two in a byte.
    return sum(each.numel() * (2 if each.dtype == torch.uint8 else 1) for each in module.parameters())


def main() -> int:
    """Train some steps, and print speed, memory and utilisation."""
    quiet_libraries()
    config = load_config(Path(sys.argv[1]))
    run = prepare(config)
    config.output.mkdir(parents=True, exist_ok=True)
    trainer = build_trainer(run, config.output / "checkpoints", Console(quiet=True))
    trainer.args.save_strategy = "no"
    clock, counter = StepClock(), _Counter(trainer.data_collator)
    trainer.data_collator = counter
    trainer.add_callback(clock)
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    seconds = statistics.median(clock.seconds[1:] or clock.seconds)
    steps = len(clock.seconds)
    base = run.loaded.base
    decoder, tower = (
        base.get_submodule(run.loaded.family.decoder_path),
        base.get_submodule(run.loaded.family.vision_paths[0]),
    )
    embeddings = base.get_input_embeddings().weight.numel()
    # Forward and backward through frozen layers are twice two products of a weight and a token; of weights that are
    # tuned a third two. Attention's own products and the output layer are left out.
    flops = counter.tokens / steps * (_num_weights(decoder) - embeddings) * (4 if config.adapts else 6)
    flops += counter.patches / steps * _num_weights(tower) * (2 if config.adapts else 6)
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    most = next((value for part, value in _MOST_FLOPS.items() if part in name), None)
    report = {
        "posts a second": round(counter.posts / steps / seconds, 3),
        "tokens a second": round(counter.tokens / steps / seconds, 1),
        "seconds a step": round(seconds, 4),
        "steps": steps,
        "tokens a step": round(counter.tokens / steps, 1),
        "peak GiB": round(peak_bytes() / 2**30, 2),
        "MFU": None if most is None else round(flops / seconds / most, 4),
        "losses are finite": all(map(math.isfinite, losses)),
        "first and last loss": [losses[0], losses[-1]],
    }
    save_weights(trainer, run, config.output / ("adapter" if config.adapts else "model"))
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
