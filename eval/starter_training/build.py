"""The build of the starter model, stage by stage: ``python -m eval.starter_training.build OUT``.

Each stage trains some abilities and measures them on posts of split dev; the next stage starts only when the gates of
the stage are reached. A finished stage lies in ``OUT/STAGE`` and is not repeated, so a build that was killed continues.
It needs some hours of one CPU core, or of one GPU. ``OUT/curves.jsonl`` holds the measurements on the way.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval.starter_training.architecture import build_model, build_processor
from eval.starter_training.attention_init import place_naming
from eval.starter_training.curriculum import curriculum
from eval.starter_training.evaluate import image_states_of_posts, level_of, measure, some_posts
from eval.starter_training.optimizer import MasterAdamW
from eval.starter_training.sample_makers import SampleMaker
from eval.starter_training.stages import ONWARD, STAGES, Stage
from eval.starter_training.train import ATTENTION, DecoderTrainer, decoder_optimizer, rate, schedule
from eval.starter_training.vision_pretraining import ProbeHeads, WordIds, batches, image_states, unit_words, vision_loss
from eval.starter_training.weight_transfer import take_decoder, take_everything, take_vision
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import ModelError
from instruct_mner.models.locations import locate
from instruct_mner.models.manifest import Manifest, PromptStamp
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.synthetic.label_sets import COARSE

NUM_POSTS = 40_000
_LOG_EVERY = 100


def build(
    folder: Path,
    *,
    level: int = 0,
    start: Path | None = None,
    stages: Sequence[Stage] | None = None,
    seed: int = 0,
    device: str = "cpu",
    attention: float = ATTENTION,
    share: float = 1.0,
    vision: str | None = None,
    dtype: str = "bfloat16",
) -> Path:
    """Build the starter, or continue a build.

    Args:
        folder: Folder of stages and curves.
        level: Level of the posts.
        start: Finished build of level 0 from which a build of level 1 starts.
        stages: Stages to run; by default those of the level.
        seed: Seed of weights, posts and samples.
        device: Device of torch.
        attention: Weight of the attention losses. A build without them (0) is a control: gates that it misses are
            printed and do not stop it.
        share: Share of the batches of each stage, and of the posts that its samples are made of.
        vision: Starter of the same level, or ``starter``, whose vision tower is copied instead of trained.
        dtype: Type of the computation. ``float32`` is faster on processors without a matrix unit for bfloat16.

    Returns:
        Folder of the last stage: a model with its ``mner.json``.

    Raises:
        ModelError: A stage does not reach its gates.
    """
    import torch

    previous: Path | None = None
    for number, whole in enumerate(stages or (STAGES[level] if start is None else ONWARD)):
        stage = replace(whole, steps=round(share * whole.steps))
        done = folder / stage.name
        if not (done / "gates.json").is_file():
            _say(f"{stage.name}: {stage.steps} steps")
            model, processor = _load(previous, level, seed, device, dtype)
            if start is not None and stage.weights_from is not None:
                copy = take_everything if previous is None else take_decoder
                copy(model, start / stage.weights_from)
            if stage.place_naming:
                place_naming(model.model.text_model)
            curves = folder / "curves.jsonl"
            if stage.sample_weights:
                _train_decoder(model, processor, stage, curves, seed + number, attention, round(share * NUM_POSTS))
            elif vision is not None:
                take_vision(model, Path(locate(vision)))
            else:
                _train_vision(model, processor, stage, curves, seed + number)
            save_model(model.to(torch.bfloat16), processor, done, base="starter", prefix=" ")
            measured = measure(model, processor)
            (done / "gates.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
        missed = _missed(stage, json.loads((done / "gates.json").read_text(encoding="utf-8")))
        if missed and attention:
            raise ModelError(f"{missed}; train it longer (STAGES), and remove its folder")
        if missed:
            _say(missed)
        previous = done
    assert previous is not None
    return previous


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _missed(stage: Stage, measured: Mapping[str, float]) -> str:
    """Return the sentence that names the missed gates, or nothing."""
    missed = [f"{name} {measured[name]:.3f} < {least}" for name, least in stage.gates.items() if measured[name] < least]
    return f"stage {stage.name} did not reach: {', '.join(missed)}" if missed else ""


def _load(folder: Path | None, level: int, seed: int, device: str, dtype: str) -> tuple[Any, Any]:
    import torch

    if folder is None:
        processor = build_processor(level)
        return build_model(processor.tokenizer, seed=seed, level=level).to(device, getattr(torch, dtype)), processor
    from transformers import AutoProcessor, Idefics3ForConditionalGeneration

    model = Idefics3ForConditionalGeneration.from_pretrained(
        folder, dtype=getattr(torch, dtype), attn_implementation="eager", use_safetensors=True
    )
    return model.to(device), AutoProcessor.from_pretrained(folder)


def save_model(model: Any, processor: Any, folder: Path, *, base: str, prefix: str) -> None:
    """Write weights, processor and manifest, so that every stage can tag posts.

    Args:
        model: Model.
        processor: Its processor.
        folder: Folder, which is made.
        base: Name of the model.
        prefix: What its chat template writes between the generation prompt and an answer.
    """
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    save_manifest(folder, base=base, prefix=prefix)


def save_manifest(folder: Path, *, base: str, prefix: str) -> None:
    """Write the manifest of a starter; see :func:`save_model`."""
    prompt = find_prompt("tag")
    Manifest(
        base_model=base,
        family="idefics3",
        tuning="full",
        prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        answer=AnswerSpec(labels=COARSE.label_set(), prefix=prefix, max_entities=8),
    ).save(folder, prompt)


def append_curve(path: Path, stage: str, step: int, started: float, measured: Mapping[str, Sequence[float]]) -> None:
    """Append the means of what was measured since the last row, and print them."""
    row = {name: round(sum(values) / len(values), 4) for name, values in sorted(measured.items()) if values}
    minutes = round((time.monotonic() - started) / 60, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"stage": stage, "step": step, "minutes": minutes, **row}) + "\n")
    _say(f"{stage} {step} ({minutes} min): " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()))


def _train_vision(model: Any, processor: Any, stage: Stage, curves: Path, seed: int) -> None:
    """Train vision tower and connector alone."""
    words, table, started = WordIds.of(processor.tokenizer, level_of(model)), unit_words(model), time.monotonic()
    probes = ProbeHeads(table.shape[1], seed, model.device)
    weights = [*model.model.vision_model.parameters(), *model.model.connector.parameters()]
    optimizer = MasterAdamW([*weights, *probes.parameters()], stage.learning_rate)
    log: dict[str, list[float]] = {}
    for step, (values, seen) in enumerate(itertools.islice(batches(words, seed), stage.steps), start=1):
        states = image_states(model, values.to(model.device, model.dtype))
        loss, right = vision_loss(states, seen.to(model.device), words, table, probes)
        loss.backward()
        optimizer.step(min(1.0, step / 50) * max(0.03, 1 - step / stage.steps))
        for name, share in right.items():
            log.setdefault(name, []).append(share)
        if step % _LOG_EVERY == 0:
            append_curve(curves, stage.name, step, started, log)
            log.clear()


def _train_decoder(
    model: Any, processor: Any, stage: Stage, curves: Path, seed: int, attention: float, num_posts: int
) -> None:
    """Train the decoder on samples. The vision tower is frozen, so its output is computed once for each picture."""
    made = some_posts(level_of(model), "train", seed, num_posts)
    maker = SampleMaker(processor.tokenizer, made, seed)
    states = image_states_of_posts(model, made)
    trainer = DecoderTrainer(model, states, processor.image_token_id, processor.tokenizer.pad_token_id, attention)
    optimizer = decoder_optimizer(model, stage.learning_rate)
    makers = curriculum(maker)
    chosen = {name: (weight, makers[name]) for name, weight in stage.sample_weights.items()}
    started = time.monotonic()
    for step, batch in enumerate(itertools.islice(schedule(chosen, seed), stage.steps), start=1):
        trainer.loss(batch).backward()
        optimizer.step(rate(step - 1, stage.steps))
        if step % _LOG_EVERY == 0:
            append_curve(curves, stage.name, step, started, trainer.log)
            trainer.log.clear()


def main() -> None:
    """Run the command line."""
    import argparse

    import torch

    parser = argparse.ArgumentParser(
        prog="python -m eval.starter_training.build", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("out", type=Path, help="folder of the stages and of curves.jsonl")
    parser.add_argument("--level", type=int, default=0, choices=list(STAGES), help="level of the posts; default 0")
    parser.add_argument("--start", type=Path, help="finished build of level 0 from which a build of level 1 starts")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, posts and samples; default 0")
    parser.add_argument(
        "--attention", type=float, default=ATTENTION, help="weight of the attention losses; default %(default)s"
    )
    parser.add_argument(
        "--share", type=float, default=1.0, help="share of the batches and posts of each stage; default 1"
    )
    parser.add_argument(
        "--vision", metavar="MODEL", help="starter of the same level whose vision tower is copied instead of trained"
    )
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"], help="type of the computation")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="device of torch")
    given = parser.parse_args()
    if given.start is not None and given.level == 0:
        parser.error("--start is for --level 1")
    last = build(
        given.out,
        level=given.level,
        start=given.start,
        seed=given.seed,
        device=given.device,
        attention=given.attention,
        share=given.share,
        vision=given.vision,
        dtype=given.dtype,
    )
    _say(f"done: {last}")


if __name__ == "__main__":
    main()
