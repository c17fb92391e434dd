"""What the bottleneck finds on posts that were held out: ``python -m eval.experiments.bottleneck --output DIR``.

The heads of `information_bottleneck` are trained alone, on the states of the starter as it is (``--model``: or of
``starter-135m``), for as many steps as the runs of ``alignment.yaml``. The estimate of the mutual information must
leave chance where pictures belong to their posts, and stay there where each post has the picture of another one. With
batches of posts of one length the negatives are harder: what the number of objects says of the length of the text is
then no information.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from instruct_mner.alignment.information_bottleneck import COLLAPSED_BELOW, InformationBottleneck
from instruct_mner.alignment.objective import AlignmentBatch, View
from instruct_mner.alignment.sample_tokens import SampleTokens
from instruct_mner.alignment.settings import InformationBottleneckSettings
from instruct_mner.files import replacing
from instruct_mner.quickstart.demo import synthesis_of
from instruct_mner.synthetic.label_sets import HELD_OUT
from instruct_mner.synthetic.write import synth
from instruct_mner.training.gradient_share import MEASURED_STEPS

TRAIN, HELD, BATCH, STEPS, RATE = 1000, 500, 16, 252, 2e-3
LAYERS = {"starter": (2, 3, 5), "starter-135m": (10, 15, 20)}
DIVERGENCES = (0.0, 0.2)
SEEDS = (0, 1, 2)
CONDITIONS = ("own pictures", "pictures of others", "own pictures, batches of one length")
_IMAGE_TOKEN = 99


@dataclass(frozen=True)
class States:
    """Pooled states of posts.

    Attributes:
        pictures: Means of their image tokens, ``(posts, width)``.
        texts: Means of their tokens, ``(posts, width)``.
        lengths: Numbers of their tokens.
    """

    pictures: torch.Tensor
    texts: torch.Tensor
    lengths: tuple[int, ...]


def states_of(model: str, data: Path, split: str, layer: int, folder: Path) -> States:
    """Return the pooled states of a model as it is."""
    from instruct_mner.training.config import FinetuneConfig
    from instruct_mner.training.finetune import build_trainer
    from instruct_mner.training.setup import prepare

    config = FinetuneConfig.model_validate(
        {
            "model": model, "data": {"train": str(data / f"{split}.jsonl")}, "answer": {"max_entities": 8},
            "labels": HELD_OUT.label_set(definitions=True).model_dump(),
            "output": str(folder / f"{model}-{split}-{layer}"),
            "alignment": {"information_bottleneck": {"layer": layer}}, "optimizer": {"batch_size": BATCH},
        }
    )  # fmt: skip
    run = prepare(config)
    trainer: Any = build_trainer(run, config.output / "checkpoints", Console(quiet=True))
    trainer.current_gradient_accumulation_steps = 1
    # Earlier steps measure gradients, of which there are none here.
    trainer.state.global_step = MEASURED_STEPS[-1] + 1
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    objective = next(each for each in trainer.heads.modules() if isinstance(each, InformationBottleneck))

    def record(batch: AlignmentBatch) -> tuple[torch.Tensor, Mapping[str, float]]:
        assert batch.text is not None
        texts = objective._pooled_texts(batch, list(range(len(batch.origin))))
        seen.append((objective._pooled_pictures(batch)[list(batch.origin)].float(), texts.float()))
        return batch.states.sum() * 0, {}

    objective.forward = record  # type: ignore[method-assign]
    trainer.model.train()
    with torch.no_grad():
        for start in range(0, len(trainer.train_dataset), BATCH):
            rows = [trainer.train_dataset[at] for at in range(start, min(start + BATCH, len(trainer.train_dataset)))]
            inputs: Any = run.collator(rows)
            trainer.compute_loss(trainer.model, inputs, num_items_in_batch=inputs["labels"].ne(-100).sum())
    pictures, texts = (torch.cat(each) for each in zip(*seen, strict=True))
    return States(pictures, texts, tuple(run.lengths))


def estimate(train: States, held: States, divergence: float, seed: int, condition: str) -> float:
    """Return the estimate on held-out posts after training of the heads, in nats above chance."""
    torch.manual_seed(seed)
    settings = InformationBottleneckSettings(divergence=divergence)
    objective = InformationBottleneck(settings, 1, train.pictures.shape[1], _IMAGE_TOKEN)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=RATE)
    draw = torch.Generator().manual_seed(seed)
    if condition == "pictures of others":
        train, held = (
            replace(each, pictures=each.pictures[torch.randperm(len(each.pictures), generator=draw)])
            for each in (train, held)
        )
    grouped = condition.endswith("one length")
    waiting: list[list[int]] = []
    for step in range(STEPS):
        waiting = waiting or _batches(train, draw, grouped=grouped)
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        loss, _ = objective(_batch(train, waiting.pop(), step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return statistics.fmean(
            objective(_batch(held, chosen, STEPS))[1]["mi"] for chosen in _batches(held, draw, grouped=grouped)
        )


def _batches(states: States, draw: torch.Generator, *, grouped: bool) -> list[list[int]]:
    order = torch.randperm(len(states.lengths), generator=draw).tolist()
    if grouped:
        order.sort(key=lambda number: states.lengths[number])
    whole = [order[start : start + BATCH] for start in range(0, len(order) - BATCH + 1, BATCH)]
    return [whole[at] for at in torch.randperm(len(whole), generator=draw).tolist()]


def _batch(states: States, chosen: Sequence[int], step: int) -> AlignmentBatch:
    inputs = {"input_ids": torch.tensor([[_IMAGE_TOKEN, 1]] * len(chosen))}
    rows = tuple(SampleTokens(key=f"{step}/{number}", post=(1, 1)) for number in chosen)
    views = [
        View(states=each, inputs=inputs, rows=rows, layers={1: each})
        for each in (torch.stack([part[chosen]] * 2, dim=1) for part in (states.pictures, states.texts))
    ]
    return AlignmentBatch(image=views[0], text=views[1], origin=tuple(range(len(chosen))), step=step)


def table(layers: Sequence[int], values: Mapping[tuple[int, float, str], Sequence[float]]) -> str:
    """Return the estimates, a line a layer and weight."""
    lines = [f"| layer | divergence | {' | '.join(CONDITIONS)} |", "|---" * (2 + len(CONDITIONS)) + "|"]
    for layer, divergence in itertools.product(layers, DIVERGENCES):
        of = [values[layer, divergence, condition] for condition in CONDITIONS]
        cells = [f"{statistics.fmean(each):.3f} ± {statistics.stdev(each):.3f}" for each in of]
        lines.append(f"| {layer} | {divergence:g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of posts and of the table")
    parser.add_argument("--model", choices=list(LAYERS), default="starter")
    given = parser.parse_args()
    layers = LAYERS[given.model]
    data = given.output / "bottleneck-data"
    for split, number in (("train", TRAIN), ("dev", HELD)):
        if not (data / f"{split}.jsonl").is_file():
            synth(data, synthesis_of(split), number, seed=0)  # type: ignore[arg-type]
    values = {}
    for layer in layers:
        runs = given.output / "bottleneck-runs"
        train, held = (states_of(given.model, data, split, layer, runs) for split in ("train", "dev"))
        for divergence, condition in itertools.product(DIVERGENCES, CONDITIONS):
            of = [estimate(train, held, divergence, seed, condition) for seed in SEEDS]
            values[layer, divergence, condition] = of
            print(f"layer {layer}, divergence {divergence:g}, {condition}: {of}", flush=True)
    with replacing(given.output / f"bottleneck-{given.model}.md") as file:
        file.write(table(layers, values))
    print(f"collapsed below {COLLAPSED_BELOW}")


if __name__ == "__main__":
    main()
