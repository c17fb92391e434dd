"""Short fine-tuning runs of the tests."""

from __future__ import annotations

from pathlib import Path

import yaml
from posts import make_posts
from rich.console import Console

QUIET = Console(quiet=True)


def config_of(base: Path, folder: Path, **changes: object) -> Path:
    """Writes a config of 12 steps of LoRA on the tests' posts, which are their own dev set."""
    posts = make_posts(folder / "posts")
    values = {
        "model": str(base),
        "data": {"train": str(posts), "dev": str(posts)},
        "lora": {"rank": 8, "dropout": 0.2},
        "optimizer": {"epochs": 4, "batch_size": 2, "learning_rate": 0.01},
        "evaluation": {"every_steps": 3, "posts": 2},
        "output": str(folder / "run"),
        **changes,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path
