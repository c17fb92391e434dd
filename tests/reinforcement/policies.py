"""Small policies of the tests: a tiny model of a family with a random adapter, and answers that it draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model

from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.loading import lora_config
from instruct_mner.reinforcement.rollouts import AnswerSampler
from instruct_mner.tagging.question import QuestionBuilder
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.setup import Run, prepare

WEIGHTS = {"spans": 1.0, "types": 1.0, "boxes": 1.0, "not_visible": 1.0}


def prepared(model: Path, folder: Path, *, grounded: bool = True, **more: Any) -> Run:
    """A run on the tests' posts, with an adapter that changes the model."""
    values = {
        "model": str(model),
        "data": {"train": str(make_posts(folder / "posts", boxes=grounded)), "missing_image": "text"},
        "answer": {"grounded": grounded, "max_entities": 3},
        "output": str(folder / "run"),
        **more,
    }
    run = prepare(FinetuneConfig.model_validate(values))
    torch.manual_seed(0)
    adapted = get_peft_model(run.loaded.model, lora_config(run.loaded.family, rank=8, alpha=16, dropout=0.0))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return replace(run, loaded=replace(run.loaded, model=adapted))


def sampler_of(run: Run, *, num_answers: int = 3, temperature: float = 1.0, batch_size: int = 8) -> AnswerSampler:
    engine = TransformersEngine(run.loaded, batch_size)
    return AnswerSampler(
        engine=engine,
        sampler=engine,
        builder=QuestionBuilder(engine=engine, manifest=run.manifest, prompt=run.prompt),
        picture_paths=run.picture_paths,
        weights=WEIGHTS,
        num_answers=num_answers,
        temperature=temperature,
    )
