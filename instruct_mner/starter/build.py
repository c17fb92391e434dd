"""Builds the starter model, stage by stage: ``python -m instruct_mner.starter.build OUT``.

Each stage teaches some abilities and measures them on posts of split dev; only when they are there does the next one
begin. A stage that is done lies in ``OUT/STAGE`` and is not repeated, so a build that was killed goes on. It needs
one CPU core and some hours, or one GPU. ``OUT/curves.jsonl`` keeps what was measured on the way.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instruct_mner.answers import AnswerSpec
from instruct_mner.errors import ModelError
from instruct_mner.manifest import Manifest, PromptStamp
from instruct_mner.prompts import find_prompt
from instruct_mner.starter.architecture import build_model, build_processor
from instruct_mner.starter.domains import COARSE
from instruct_mner.starter.learning import BATCH, Student, decoder_optimizer, rate, schedule
from instruct_mner.starter.lessons import Asked, Exercise, Teacher
from instruct_mner.starter.masters import MasterAdamW
from instruct_mner.starter.posts import Post, Synthesis, posts
from instruct_mner.starter.seeing import Words, batches, image_states, pixels, seeing_loss, unit_words

NUM_POSTS = 40_000
_NUM_DEV = 1_000
_LOG_EVERY = 100
# Exercises are made so many batches at a time, to be sorted by length.
_AT_ONCE = 4


@dataclass(frozen=True)
class Stage:
    """What is taught, for how long, and what must be reached.

    Attributes:
        name: Of its folder.
        steps: Batches.
        learning_rate: Its peak.
        lessons: Weight of each lesson; none for the stage that trains the eyes.
        gates: Least value of what is measured at its end.
    """

    name: str
    steps: int
    learning_rate: float
    lessons: Mapping[str, float] = field(default_factory=dict)
    gates: Mapping[str, float] = field(default_factory=dict)


STAGES = (
    Stage("seeing", 8000, 1.5e-3, gates={"type": 0.98, "colour": 0.98, "first letter": 0.95, "second letter": 0.95}),
    Stage(
        "looking", 700, 1e-3,
        {"questions": 0.3, "linked": 0.3, "describe": 0.1, "repeat": 0.2, "define": 0.1},
        gates={"question colour": 0.9, "question place": 0.9, "tokens repeat": 0.9},
    ),
    Stage(
        "naming", 2400, 7e-4,
        {"tag": 0.4, "text": 0.15, "linked": 0.2, "retag": 0.08, "retext": 0.02, "relinked": 0.05, "questions": 0.05,
         "describe": 0.01, "define": 0.04},
        gates={"question colour": 0.95, "question place": 0.95, "question letters": 0.9},
    ),
    Stage(
        "polishing", 1600, 6e-4,
        {"tag": 0.42, "text": 0.14, "linked": 0.14, "questions": 0.1, "grounded": 0.08, "retag": 0.05, "relinked": 0.03,
         "define": 0.02, "repeat": 0.02},
        gates={"question colour": 0.95, "question place": 0.95, "question letters": 0.95, "none told": 0.85},
    ),
    Stage(
        "finishing", 850, 5e-4,
        {"tag": 0.6, "text": 0.14, "linked": 0.1, "questions": 0.07, "grounded": 0.06, "repeat": 0.01,
         "describe": 0.02},
        gates={"question colour": 0.95, "question place": 0.95, "question letters": 0.95, "none told": 0.9},
    ),
)  # fmt: skip


def build(folder: Path, *, stages: Sequence[Stage] = STAGES, seed: int = 0, device: str = "cpu") -> Path:
    """Builds the starter, or goes on with a build.

    Args:
        folder: Where stages and curves go.
        stages: What is taught.
        seed: Of weights, posts and exercises.
        device: Where it is computed.

    Returns:
        The folder of the last stage: a model as any other, with its ``mner.json``.

    Raises:
        ModelError: A stage does not reach its gates.
    """
    previous: Path | None = None
    for number, stage in enumerate(stages):
        done = folder / stage.name
        if not (done / "gates.json").is_file():
            _say(f"{stage.name}: {stage.steps} steps")
            model, processor = _load(previous, seed, device)
            learn = _learn_to_see if not stage.lessons else _learn
            learn(model, processor, stage, folder / "curves.jsonl", seed + number)
            _save(model, processor, done)
            measured = measure(model, processor)
            (done / "gates.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
        _check(stage, json.loads((done / "gates.json").read_text(encoding="utf-8")))
        previous = done
    assert previous is not None
    return previous


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _check(stage: Stage, measured: Mapping[str, float]) -> None:
    missed = [f"{name} {measured[name]:.3f} < {least}" for name, least in stage.gates.items() if measured[name] < least]
    if missed:
        raise ModelError(
            f"stage {stage.name} did not reach: {', '.join(missed)}; train it longer (STAGES), and remove its folder"
        )


def _load(folder: Path | None, seed: int, device: str) -> tuple[Any, Any]:
    import torch

    if folder is None:
        processor = build_processor()
        return build_model(processor.tokenizer, seed=seed).to(device, torch.bfloat16), processor
    from transformers import AutoProcessor, Idefics3ForConditionalGeneration

    model = Idefics3ForConditionalGeneration.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="eager", use_safetensors=True
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
    words, table, started = Words.of(processor.tokenizer), unit_words(model), time.monotonic()
    optimizer = MasterAdamW(
        [*model.model.vision_model.parameters(), *model.model.connector.parameters()], stage.learning_rate
    )
    log: dict[str, list[float]] = {}
    for step, (values, found) in enumerate(itertools.islice(batches(words, seed), stage.steps), start=1):
        states = image_states(model, values.to(model.device, model.dtype))
        loss, right = seeing_loss(states, found.to(model.device), words, table)
        loss.backward()
        optimizer.step(min(1.0, step / 50) * max(0.03, 1 - step / stage.steps))
        for name, share in right.items():
            log.setdefault(name, []).append(share)
        if step % _LOG_EVERY == 0:
            _log(curves, stage.name, step, started, log)
            log.clear()


def _learn(model: Any, processor: Any, stage: Stage, curves: Path, seed: int) -> None:
    """Trains the decoder on exercises; pictures are seen once, for the eyes are frozen."""
    made = list(itertools.islice(posts(Synthesis(), seed), NUM_POSTS))
    teacher = Teacher(processor.tokenizer, made, seed)
    student = Student(model, see(model, made), processor.image_token_id, processor.tokenizer.pad_token_id)
    optimizer = decoder_optimizer(model, stage.learning_rate)
    makers = lessons(teacher)
    chosen = {name: (weight, makers[name]) for name, weight in stage.lessons.items()}
    started = time.monotonic()
    for step, batch in enumerate(itertools.islice(schedule(chosen, seed), stage.steps), start=1):
        student.loss(batch).backward()
        optimizer.step(rate(step - 1, stage.steps))
        if step % _LOG_EVERY == 0:
            _log(curves, stage.name, step, started, student.log)
            student.log.clear()


def see(model: Any, made: Sequence[Post], at_once: int = 256) -> Any:
    """What the connector makes of each picture, ``(posts, tokens, width)``."""
    import torch

    with torch.no_grad():
        parts = [
            image_states(model, pixels(made[start : start + at_once]).to(model.device, model.dtype))
            for start in range(0, len(made), at_once)
        ]
    return torch.cat(parts)


def lessons(teacher: Teacher) -> dict[str, Callable[[], list[Exercise]]]:
    """What makes the exercises of each lesson, some batches at a time."""
    rng, count = teacher.rng, BATCH * _AT_ONCE

    def asked() -> Asked:
        return teacher.ask(COARSE, order=rng.sample(range(4), 4), defined=rng.random() < 0.3)

    def renamed() -> Asked:
        return teacher.ask(COARSE, names=teacher.random_names(4), order=rng.sample(range(4), 4), defined=True)

    def located() -> Asked:
        return teacher.ask(COARSE, order=rng.sample(range(4), 4), defined=rng.random() < 0.3, grounded=True)

    def picture(own: float) -> str:
        return "own" if rng.random() < own else "other"

    def rich() -> int:
        return teacher.pick(rng.choices(("lettered", "several", "shown"), (0.4, 0.45, 0.15))[0])

    def shared(ask: Callable[[], Asked], one: Callable[[Asked], Exercise]) -> Callable[[], list[Exercise]]:
        def make() -> list[Exercise]:
            prompt = ask()
            return [one(prompt) for _ in range(count)]

        return make

    def single(one: Callable[[], Exercise]) -> Callable[[], list[Exercise]]:
        return lambda: [one() for _ in range(count)]

    return {
        "grounded": shared(located, lambda ask: teacher.tag(teacher.pick("any"), ask, picture=picture(0.85))),
        "tag": shared(asked, lambda ask: teacher.tag(teacher.pick("any"), ask, picture=picture(0.8))),
        "text": shared(asked, lambda ask: teacher.tag(teacher.pick("any"), ask, picture="none")),
        "linked": shared(asked, lambda ask: teacher.linked(rich(), ask)),
        "retag": shared(renamed, lambda ask: teacher.tag(teacher.pick("any"), ask, picture=picture(0.85))),
        "retext": shared(renamed, lambda ask: teacher.tag(teacher.pick("any"), ask, picture="none")),
        "relinked": shared(renamed, lambda ask: teacher.linked(rich(), ask)),
        "questions": single(lambda: teacher.questions(rich())),
        "describe": single(lambda: teacher.describe(teacher.pick("shown"))),
        "repeat": single(teacher.repeat),
        "define": single(lambda: teacher.define(COARSE)),
    }


def measure(model: Any, processor: Any) -> dict[str, float]:
    """Abilities on posts of split dev, as shares of right tokens: one teacher-forced pass, no picture seen before."""
    import torch

    made = list(itertools.islice(posts(Synthesis(split="dev"), 0), _NUM_DEV))
    words = Words.of(processor.tokenizer)
    with torch.no_grad():
        states = see(model, made)
        log = _measure_sight(model, made, states, words)
        teacher = Teacher(processor.tokenizer, made, 0)
        student = Student(model, states, processor.image_token_id, processor.tokenizer.pad_token_id)
        for maker in lessons(teacher).values():
            for batch in _batches(maker()):
                student.loss(batch)
    return log | {name: sum(values) / len(values) for name, values in sorted(student.log.items())}


def _measure_sight(model: Any, made: Sequence[Post], states: Any, words: Words) -> dict[str, float]:
    import numpy as np
    import torch

    from instruct_mner.starter.seeing import labels

    found = torch.from_numpy(np.stack([labels(post, words) for post in made])).to(states.device)
    return seeing_loss(states, found, words, unit_words(model))[1]


def _batches(exercises: Sequence[Exercise]) -> Iterator[Sequence[Exercise]]:
    for start in range(0, len(exercises), BATCH):
        yield exercises[start : start + BATCH]


def main() -> None:
    """The command line."""
    import argparse

    import torch

    parser = argparse.ArgumentParser(
        prog="python -m instruct_mner.starter.build", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    _say(f"done: {build(given.out, seed=given.seed, device=given.device)}")


if __name__ == "__main__":
    main()
