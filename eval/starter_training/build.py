"""Builds the starter model, stage by stage: ``python -m eval.starter_training.build OUT``.

Each stage teaches some abilities and measures them on posts of split dev; only when they are there does the next one
begin. A stage that is done lies in ``OUT/STAGE`` and is not repeated, so a build that was killed goes on. It needs
one CPU core and some hours, or one GPU. ``OUT/curves.jsonl`` keeps what was measured on the way.
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
from eval.starter_training.evaluate import level_of, measure, see, some_posts
from eval.starter_training.optimizer import MasterAdamW
from eval.starter_training.sample_makers import Teacher
from eval.starter_training.stages import ONWARD, STAGES, Stage
from eval.starter_training.train import ATTENTION, Student, decoder_optimizer, rate, schedule
from eval.starter_training.vision_pretraining import Readers, Words, batches, image_states, seeing_loss, unit_words
from eval.starter_training.weight_transfer import take_decoder, take_everything, take_eyes
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
    eyes: str | None = None,
    dtype: str = "bfloat16",
) -> Path:
    """Builds the starter, or goes on with a build.

    Args:
        folder: Where stages and curves go.
        level: Of the posts that it is taught on.
        start: A build of level 0, from which one of level 1 goes on.
        stages: What is taught; those of the level unless given.
        seed: Of weights, posts and exercises.
        device: Where it is computed.
        attention: Weight of the attention losses. A build that nobody tells where to look (0) is a control: gates that
            it misses are said, and do not stop it.
        share: How much of each stage is taught: of its batches, and of the posts that they are made of.
        eyes: A starter of the same level, or ``starter``, whose vision tower and connector are taken instead of taught.
        dtype: What is computed in. ``float32`` is the faster where a processor has no matrix unit for bfloat16.

    Returns:
        The folder of the last stage: a model as any other, with its ``mner.json``.

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
            if start is not None and stage.takes is not None:
                take = take_everything if previous is None else take_decoder
                take(model, start / stage.takes)
            if stage.place_naming:
                place_naming(model.model.text_model)
            curves = folder / "curves.jsonl"
            if stage.lessons:
                _learn(model, processor, stage, curves, seed + number, attention, round(share * NUM_POSTS))
            elif eyes is not None:
                take_eyes(model, Path(locate(eyes)))
            else:
                _learn_to_see(model, processor, stage, curves, seed + number)
            _save(model.to(torch.bfloat16), processor, done)
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
    """Which gates were missed, in words; nothing where all are reached."""
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


def _save(model: Any, processor: Any, folder: Path) -> None:
    """Weights, processor and manifest, so that every stage can be tagged with."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    prompt = find_prompt("tag")
    Manifest(
        base_model="starter",
        family="idefics3",
        tuning="full",
        prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        answer=AnswerSpec(labels=COARSE.label_set(), prefix=" ", max_entities=8),
    ).save(folder, prompt)


def _log(path: Path, stage: str, step: int, started: float, measured: Mapping[str, Sequence[float]]) -> None:
    row = {name: round(sum(values) / len(values), 4) for name, values in sorted(measured.items()) if values}
    minutes = round((time.monotonic() - started) / 60, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"stage": stage, "step": step, "minutes": minutes, **row}) + "\n")
    _say(f"{stage} {step} ({minutes} min): " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()))


def _learn_to_see(model: Any, processor: Any, stage: Stage, curves: Path, seed: int) -> None:
    """Trains vision tower and connector alone."""
    words, table, started = Words.of(processor.tokenizer, level_of(model)), unit_words(model), time.monotonic()
    readers = Readers(table.shape[1], seed, model.device)
    eyes = [*model.model.vision_model.parameters(), *model.model.connector.parameters()]
    optimizer = MasterAdamW([*eyes, *readers.parameters()], stage.learning_rate)
    log: dict[str, list[float]] = {}
    for step, (values, seen) in enumerate(itertools.islice(batches(words, seed), stage.steps), start=1):
        states = image_states(model, values.to(model.device, model.dtype))
        loss, right = seeing_loss(states, seen.to(model.device), words, table, readers)
        loss.backward()
        optimizer.step(min(1.0, step / 50) * max(0.03, 1 - step / stage.steps))
        for name, share in right.items():
            log.setdefault(name, []).append(share)
        if step % _LOG_EVERY == 0:
            _log(curves, stage.name, step, started, log)
            log.clear()


def _learn(model: Any, processor: Any, stage: Stage, curves: Path, seed: int, attention: float, num_posts: int) -> None:
    """Trains the decoder on exercises; pictures are seen once, for the eyes are frozen."""
    made = some_posts(level_of(model), "train", seed, num_posts)
    teacher = Teacher(processor.tokenizer, made, seed)
    states = see(model, made)
    student = Student(model, states, processor.image_token_id, processor.tokenizer.pad_token_id, attention)
    optimizer = decoder_optimizer(model, stage.learning_rate)
    makers = curriculum(teacher)
    chosen = {name: (weight, makers[name]) for name, weight in stage.lessons.items()}
    started = time.monotonic()
    for step, batch in enumerate(itertools.islice(schedule(chosen, seed), stage.steps), start=1):
        student.loss(batch).backward()
        optimizer.step(rate(step - 1, stage.steps))
        if step % _LOG_EVERY == 0:
            _log(curves, stage.name, step, started, student.log)
            student.log.clear()


def main() -> None:
    """The command line."""
    import argparse

    import torch

    parser = argparse.ArgumentParser(
        prog="python -m eval.starter_training.build", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--level", type=int, default=0, choices=list(STAGES))
    parser.add_argument("--start", type=Path, help="a finished build of level 0, from which one of level 1 goes on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attention", type=float, default=ATTENTION, help="weight of the attention losses")
    parser.add_argument("--share", type=float, default=1.0, help="of each stage's batches and posts")
    parser.add_argument("--eyes", help="a starter of the same level whose eyes are taken instead of taught")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"], help="what is computed in")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
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
        eyes=given.eyes,
        dtype=given.dtype,
    )
    _say(f"done: {last}")


if __name__ == "__main__":
    main()
