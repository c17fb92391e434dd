"""The build of a model from a pretrained decoder: ``python -m eval.starter_training.build_joined OUT``.

SmolLM2's decoder, the starter's vision tower and a connector (:mod:`eval.starter_training.pretrained_decoder`). The
connector is aligned first, then it is trained with LoRA in the decoder, without any supervision of attention unless it
is asked for. It goes on in legs of some minutes: a leg that is finished lies in ``OUT`` and is not repeated, so that a
build that was killed continues, and gives the same weights as one that was not. ``OUT/curves.jsonl`` holds the
measurements on the way. Each stage ends with strict F1 on posts of split dev, with their own pictures and with those of
others: its gate.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.starter_training.attention_init import Hop
from eval.starter_training.build import append_curve
from eval.starter_training.connector_alignment import align_connector
from eval.starter_training.curriculum import curriculum
from eval.starter_training.evaluate import image_features_of_posts, some_posts
from eval.starter_training.optimizer import MasterAdamW
from eval.starter_training.own_and_shuffled import f1_own_and_shuffled
from eval.starter_training.pretrained_decoder import (
    add_lora,
    build_joined_model,
    load_parts,
    save_package,
    save_parts,
)
from eval.starter_training.sample_makers import SampleMaker
from eval.starter_training.stages import Stage
from eval.starter_training.train import DecoderTrainer, rate, schedule
from instruct_mner.errors import ModelError
from instruct_mner.files import replacing
from instruct_mner.models.prefix_sharing import fuse_lora_and_attention
from instruct_mner.models.starter_135m import CHAT_TEMPLATE, join, joined_processor

BATCH = 8
LEG = 250
NUM_POSTS = 8_000
# Coordinates of boxes are multiples of a twentieth of the picture. With exact ones, of which none is frequent, the
# likeliest digits after each other are those of a box that is no object's: with no more than the quarter of an object
# known, IoU is 0.5 with 0.63 of the objects, and 0.73 with these. A picture is only 4 x 4 tokens.
_BOX_STEP = 50
_CONNECTOR_RATE = 0.2
_GAIN = "F1, own less shuffled"
# Where attention is supervised, if it is: from the words that link a name to its object, and from those before a type.
_HOPS = {"look": Hop(14, (0, 1, 3, 4)), "link": Hop(15, (0, 1, 3, 4))}

STAGES = (
    Stage(
        "looking", 1_500, 1e-3,
        {"questions": 0.35, "linked": 0.3, "tag": 0.25, "text": 0.05, "describe": 0.05},
        gates={_GAIN: 15.0},
    ),
    # Labels that mean nothing stay at chance beside all the rest (after 500 batches of `tagging` alone): the meaning of
    # a label in the prompt is learned by itself first.
    Stage(
        "naming", 500, 7e-4,
        {"define": 0.3, "relinked": 0.25, "retag": 0.2, "linked": 0.08, "tag": 0.07, "questions": 0.05, "boxes": 0.05},
        gates={_GAIN: 15.0},
    ),
    Stage(
        "tagging", 1_500, 7e-4,
        {"tag": 0.32, "text": 0.05, "linked": 0.06, "grounded": 0.16, "retag": 0.14, "retext": 0.03, "relinked": 0.08,
         "boxes": 0.08, "define": 0.03, "questions": 0.03, "describe": 0.02},
        gates={_GAIN: 25.0},
    ),
    Stage(
        "grounding", 900, 1e-3,
        {"shown": 0.37, "grounded": 0.15, "boxes": 0.15, "tag": 0.12, "text": 0.04, "retag": 0.07, "relinked": 0.05,
         "define": 0.03, "questions": 0.02},
        gates={_GAIN: 25.0},
    ),
)  # fmt: skip
"""Stages of the build; steps are batches of eight."""


@dataclass(frozen=True)
class Leg:
    """Part of a stage after which everything is saved.

    Attributes:
        stage: Stage.
        number: Number of the leg in the build.
        first: Number of its first batch in the stage.
        steps: Number of its batches.
    """

    stage: Stage
    number: int
    first: int
    steps: int

    @property
    def is_last(self) -> bool:
        """Whether the stage ends with it."""
        return self.first + self.steps == self.stage.steps


def legs(stages: tuple[Stage, ...] = STAGES, most: int = LEG) -> list[Leg]:
    """Return the legs of a build."""
    parts = [
        (stage, first, min(most, stage.steps - first)) for stage in stages for first in range(0, stage.steps, most)
    ]
    return [Leg(stage, number, first, steps) for number, (stage, first, steps) in enumerate(parts)]


def build(
    folder: Path,
    *,
    stages: tuple[Stage, ...] = STAGES,
    most: int = LEG,
    num_posts: int = NUM_POSTS,
    num_scored: int = 200,
    alignment: Mapping[str, int] | None = None,
    seed: int = 0,
    attention: float = 0.0,
    begin: Path | None = None,
) -> Path:
    """Build the model, or continue a build.

    Args:
        folder: Folder of the legs and curves.
        stages: Stages to run.
        most: Number of batches of a leg.
        num_posts: Number of posts that samples are made of.
        num_scored: Number of posts that each stage is scored on.
        alignment: Other numbers of pictures, ``num``, and of steps, ``steps``, of the alignment.
        seed: Seed of connector, LoRA, posts and samples.
        attention: Weight of the loss of supervised attention, on posts alone.
        begin: Trained parts of the stages before the last, which alone is run.

    Returns:
        File of the trained parts.

    Raises:
        ModelError: A stage does not reach its gate.
    """
    processor = joined_processor()
    model = build_joined_model(processor, seed=seed)
    aligned = begin or folder / "aligned.safetensors"
    if not aligned.exists():
        right = align_connector(model, processor.tokenizer, seed, **alignment or {})
        _say(", ".join(f"{name} {share:.3f}" for name, share in right.items()))
        save_parts(model, aligned)
    lora = add_lora(model, seed)
    load_parts(model, aligned)
    fuse_lora_and_attention(model, model.model.text_model)  # four fifths of the time of a step, on one core
    if attention:
        model.model.text_model.set_attn_implementation("eager")
    connector = model.model.connector.modality_projection.proj.weight.requires_grad_(True)
    posts = some_posts(0, "train", seed, num_posts)
    features = image_features_of_posts(model, posts)
    last = aligned
    for leg in legs(stages, most):
        if begin and leg.stage is not stages[-1]:
            continue
        done = folder / f"leg-{leg.number:03}"
        if not (done / "parts.safetensors").exists():
            optimizers = [
                MasterAdamW(lora, leg.stage.learning_rate),
                MasterAdamW([connector], _CONNECTOR_RATE * leg.stage.learning_rate),
            ]
            if last is not aligned:
                load_parts(model, last)
                # A new stage begins with fresh moments; the masters are exact in any case.
                _load_optimizers(optimizers, last.with_name("optimizers.safetensors"), moments=leg.first > 0)
            _train(model, processor, posts, features, leg, optimizers, folder / "curves.jsonl", seed, attention)
            done.mkdir(parents=True, exist_ok=True)
            _save_optimizers(optimizers, done / "optimizers.safetensors")
            save_parts(model, done / "parts.safetensors")
        last = done / "parts.safetensors"
        if leg.is_last:
            load_parts(model, last)
            _check(leg.stage, _scored(model, folder / leg.stage.name, num_scored))
    return last


def _train(
    model: Any,
    processor: Any,
    posts: Any,
    features: Any,
    leg: Leg,
    optimizers: list[MasterAdamW],
    curves: Path,
    seed: int,
    attention: float,
) -> None:
    """Train for one leg. Its samples follow from its number alone."""
    own = 1_000 * seed + leg.number
    maker = SampleMaker(processor.tokenizer, posts, own, CHAT_TEMPLATE, _BOX_STEP)
    trainer = DecoderTrainer(
        model, features, processor.image_token_id, processor.tokenizer.pad_token_id, attention, _HOPS
    )
    trainer.project = model.model.connector.modality_projection
    makers = curriculum(maker, BATCH)
    chosen = {name: (weight, makers[name]) for name, weight in leg.stage.sample_weights.items()}
    started = time.monotonic()
    for step, batch in enumerate(itertools.islice(schedule(chosen, own, BATCH), leg.steps), start=leg.first):
        questions = batch[0].kind == "questions"
        trainer.loss([replace(each, targets=[]) for each in batch] if questions else batch).backward()
        for optimizer in optimizers:
            optimizer.step(rate(step, leg.stage.steps))
    append_curve(curves, leg.stage.name, leg.first + leg.steps, started, trainer.log)


def _save_optimizers(optimizers: list[MasterAdamW], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({f"{n}.{name}": value for n, each in enumerate(optimizers) for name, value in each.state().items()}, path)


def _load_optimizers(optimizers: list[MasterAdamW], path: Path, *, moments: bool) -> None:
    from safetensors.torch import load_file

    state = load_file(path)
    for number, optimizer in enumerate(optimizers):
        own = {name.partition(".")[2]: value for name, value in state.items() if name.startswith(f"{number}.")}
        optimizer.load({name: value for name, value in own.items() if moments or name.startswith("master.")})


def _scored(model: Any, folder: Path, num: int) -> dict[str, float]:
    """Return strict F1 of the stage, from its file where it was scored before."""
    scores = folder / "scores.json"
    if not scores.exists():
        for old in (folder / "package", folder / "model"):
            shutil.rmtree(old, ignore_errors=True)  # of a build that was killed here
        save_package(model, folder / "package")
        join(folder / "package", folder / "model")
        own, shuffled = f1_own_and_shuffled(folder / "model", num)
        with replacing(scores) as file:
            json.dump({"F1, own": own, "F1, shuffled": shuffled, _GAIN: own - shuffled}, file)
    return dict(json.loads(scores.read_text("utf-8")))


def _check(stage: Stage, scores: dict[str, float]) -> None:
    _say(f"{stage.name}: " + ", ".join(f"{name} {value:.1f}" for name, value in scores.items()))
    for name, least in stage.gates.items():
        if scores[name] < least:
            raise ModelError(f"stage {stage.name}: {name} {scores[name]:.1f} < {least}; train it longer (STAGES)")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Run the command line."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m eval.starter_training.build_joined", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("out", type=Path, help="folder of the legs and of curves.jsonl")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, posts and samples; default 0")
    parser.add_argument("--attention", type=float, default=0.0, help="weight of supervised attention; default 0, none")
    parser.add_argument("--begin", type=Path, help="trained parts of the stages before the last, which alone is run")
    given = parser.parse_args()
    _say(f"done: {build(given.out, seed=given.seed, attention=given.attention, begin=given.begin)}")


if __name__ == "__main__":
    main()
