"""Short fine-tuning runs of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from rich.console import Console

from instruct_mner.testing.posts import make_posts

if TYPE_CHECKING:
    from instruct_mner.training.setup import Run
    from instruct_mner.training.trainer import MnerTrainer

QUIET = Console(quiet=True)

# All alignment objectives, with heads as small as the tests' models.
EVERYTHING: dict[str, Any] = {
    "cross_view": {},
    "information_bottleneck": {"width": 16},
    "region_span_grounding": {"through": "head", "width": 16},
    "generative": {"width": 16, "grid": 2, "generated_share": 1.0},
}


def config_of(base: Path, folder: Path, **changes: object) -> Path:
    """Writes a config of 12 steps of LoRA on the tests' posts, which are their own dev set."""
    posts = make_posts(folder / "posts")
    values = {
        "model": str(base),
        "data": {"train": str(posts), "dev": str(posts)},
        "lora": {"rank": 8, "dropout": 0.2},
        # In the order and arithmetic that these tests were written for.
        "optimizer": {
            "epochs": 4,
            "batch_size": 2,
            "learning_rate": 0.01,
            "share_prompt_prefix": False,
            "group_by_length": False,
        },
        "evaluation": {"every_steps": 3, "posts": 2},
        "output": str(folder / "run"),
        **changes,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def captioned_posts(folder: Path) -> Path:
    """Writes the tests' posts with a caption each, also that without a picture."""
    from instruct_mner.data.jsonl import write_jsonl
    from instruct_mner.data.loading import load_split
    from instruct_mner.schema.records import Context

    path = make_posts(folder)
    posts = load_split(str(path)).examples
    write_jsonl(path, [post.model_copy(update={"context": Context(caption="a red car")}) for post in posts])
    return path


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    """Expects that a run in the block is killed at the end of a step."""
    from instruct_mner.training.progress import RunProgress

    original = RunProgress.on_step_end

    def dies(self, args, state, control, **kwargs) -> None:
        if state.global_step == step:
            raise Killed
        original(self, args, state, control, **kwargs)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RunProgress, "on_step_end", dies)
        yield


def aligned_run(model: Path, folder: Path, alignment: dict[str, Any], **more: Any) -> Run:
    """A run on the tests' posts, all six in a batch, prepared but not started."""
    from instruct_mner.training.config import FinetuneConfig
    from instruct_mner.training.setup import prepare

    config = FinetuneConfig.model_validate(
        {
            "model": str(model),
            "data": {"train": str(make_posts(folder / "posts"))},
            "lora": {"rank": 8, "dropout": 0.0},
            "alignment": alignment,
            "output": str(folder / "run"),
            **more,
            "optimizer": {
                "batch_size": 6,
                "max_steps": 2,
                "learning_rate": 1e-2,
                "share_prompt_prefix": False,
                "group_by_length": False,
                **more.get("optimizer", {}),
            },
        }
    )
    (folder / "run").mkdir(parents=True, exist_ok=True)
    return prepare(config)


def trainer_of(run: Run) -> MnerTrainer:
    """Its trainer."""
    from instruct_mner.training.finetune import build_trainer

    return build_trainer(run, run.config.output / "checkpoints", QUIET)
