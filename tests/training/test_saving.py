from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from instruct_mner import Tagger
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.finetune import finetune


def test_an_adapter_names_its_base_and_not_where_it_lay(tmp_path: Path) -> None:
    posts = make_posts(tmp_path / "posts")
    config = FinetuneConfig.model_validate(
        {
            "model": "starter",
            "data": {"train": str(posts), "dev": str(posts)},
            "optimizer": {"max_steps": 1},
            "evaluation": {"posts": 2},
            "output": tmp_path / "run",
        }
    )
    run = finetune(config, Console(quiet=True))
    saved = json.loads((run / "adapter" / "adapter_config.json").read_text())
    assert saved["base_model_name_or_path"] == "starter"
    manifest = Tagger.from_pretrained(run).manifest
    assert manifest.base_model == "starter"
    assert [(stamp.role, stamp.num_posts) for stamp in manifest.datasets] == [("train", 6), ("dev", 2)]
    # A run that goes on behind its last step saves the tokenizer without having used it.
    tokenizer = json.loads((run / "adapter" / "tokenizer.json").read_text())
    assert (tokenizer["padding"], tokenizer["truncation"]) == (None, None)
