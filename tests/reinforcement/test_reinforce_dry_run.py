"""``reinforce --dry-run``: what a run would do, and nothing kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runs import QUIET
from test_reinforce import config_of
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.reinforcement.config import reinforced_config
from instruct_mner.reinforcement.dry_run import count_steps
from instruct_mner.reinforcement.reinforce import reinforce
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import finetune
from instruct_mner.training.progress import read_metrics


@pytest.fixture(scope="module")
def tuned(tiny_models, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    finetune(load_config(config_of(tiny_models("idefics3"), folder)), QUIET)
    return folder


def test_it_shows_answers_with_rewards_and_makes_nothing(tuned: Path) -> None:
    done = CliRunner().invoke(app, ["reinforce", str(tuned / "config.yaml"), "--dry-run"])
    assert done.exit_code == 0, done.output
    for part in (
        "num_answers: 2",
        "RT @ user : Jordan",
        "steps    4, about ",
        "dev      scored 3 times",
        "GiB of memory",
    ):
        assert part in done.output
    number = r"[01]\.\d\d"
    rewards = re.findall(
        rf"^({number}) \(spans ({number}), types ({number}), boxes ({number}), not_visible ({number})\)$",
        done.output,
        re.M,
    )
    assert len(rewards) == 2
    for total, *parts in rewards:
        assert float(total) == pytest.approx(sum(map(float, parts)) / 4, abs=0.02)
    assert re.search(r"2 posts: mean reward 0\.\d{3}; of [012] all answers are worth the same", done.output)
    assert sorted(path.name for path in tuned.iterdir() if not path.name.startswith(".")) == [
        "config.yaml",
        "posts",
        "run",
    ]


def test_the_number_of_steps_is_that_of_the_run(tuned: Path, tmp_path: Path) -> None:
    changes = ["max_steps=null", "epochs=1.5", "posts_per_step=4", f"output={tmp_path / 'again'}"]
    config = reinforced_config(
        load_config(tuned / "config.yaml", ["data.dev=null", *(f"reinforcement.{each}" for each in changes)])
    )
    reinforce(config, QUIET)
    steps = [line["step"] for line in read_metrics(tmp_path / "again" / "metrics.jsonl") if "reward" in line]
    assert count_steps(config.reinforcement, num_posts=6) == max(steps) == len(steps)
