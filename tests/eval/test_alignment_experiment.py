"""The alignment experiment under `eval`: its arms are configs, and its statistics are what they say."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml

from instruct_mner.quickstart.demo import synthesis_of
from instruct_mner.synthetic.posts import posts

EVAL = Path(__file__).resolve().parents[2] / "eval" / "experiments"
SETTINGS = yaml.safe_load((EVAL / "alignment.yaml").read_text())
VARIANTS = yaml.safe_load((EVAL / "alignment-tuning.yaml").read_text())["variants"]


def test_every_arm_and_variant_is_a_config_and_every_comparison_names_arms(tmp_path) -> None:
    from eval.experiments.aligning.runs import config_of, num_forwards, tasks
    from eval.experiments.alignment import tuning

    chosen = tasks(SETTINGS, tmp_path, list(SETTINGS["groups"]))
    chosen += tuning(SETTINGS, VARIANTS, [], tmp_path)
    assert len({task.folder for task in chosen}) == len(chosen)
    # Runs of an arm and a group differ in their seed alone.
    kinds = {(task.folder.parent, task.arm): task for task in chosen}.values()
    forwards = {task.arm: num_forwards(config_of(task, SETTINGS, tmp_path)) for task in kinds}
    assert (forwards["plain"], forwards["ce_text"], forwards["all_four"]) == (1, 2, 2.25)
    used = {task.seed for task in chosen if task.split == "test"}
    assert not used & set(SETTINGS["tuning"]["seeds"])
    for each in SETTINGS["primary"]:
        assert {each["arm"], each["control"]} <= set(SETTINGS["arms"])
        for name in (each["arm"], each["control"]):
            assert sum(task.folder.parent.name == "primary" and task.arm == name for task in chosen) >= 3


def test_scores_are_kept_to_the_same_bytes(tmp_path) -> None:
    from eval.experiments.aligning.report import read_runs
    from eval.experiments.aligning.scores import SCORES, write_scores

    scores = {"own": {"right": [[1, 0], []], "predicted": [2, 0]}, "probe": 0.25}
    paths = [tmp_path / f"plain-{seed}" / SCORES for seed in (0, 1)]
    for path in paths:
        path.parent.mkdir()
        write_scores(path, scores)
    assert read_runs(tmp_path) == {"plain": {0: scores, 1: scores}}
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert [path.name for path in sorted(paths[0].parent.iterdir())] == [SCORES]


def test_runs_come_back_from_the_archive_and_none_is_overwritten(tmp_path) -> None:
    from eval.experiments.aligning.archive import pack_runs, unpack_runs
    from eval.experiments.aligning.report import read_runs
    from eval.experiments.aligning.scores import SCORES, write_scores

    for name in ("small/plain-0", "small/plain-10", "tuning/plain, 8 epochs-100"):
        path = tmp_path / "runs" / name / SCORES
        path.parent.mkdir(parents=True)
        write_scores(path, {"name": name})
    archive = tmp_path / "runs.jsonl.xz"
    assert pack_runs(tmp_path / "runs", archive) == 3
    kept = tmp_path / "again" / "small" / "plain-0" / SCORES
    kept.parent.mkdir(parents=True)
    write_scores(kept, {"name": "newer"})
    assert unpack_runs(tmp_path / "again", archive) == 3
    assert read_runs(tmp_path / "again" / "small") == {"plain": {0: {"name": "newer"}, 10: {"name": "small/plain-10"}}}
    assert read_runs(tmp_path / "again" / "tuning") == {
        "plain, 8 epochs": {100: {"name": "tuning/plain, 8 epochs-100"}}
    }


def test_the_tables_are_what_the_runs_that_are_kept_give(tmp_path) -> None:
    from eval.experiments.aligning.archive import unpack_runs
    from eval.experiments.aligning.report import read_runs, table
    from eval.experiments.aligning.runs import made_posts

    unpack_runs(tmp_path)
    kept = read_runs(tmp_path / "primary")
    planned = {name: arm.get("seeds", SETTINGS["groups"]["primary"]["seeds"]) for name, arm in SETTINGS["arms"].items()}
    assert {name: len(seeds) for name, seeds in kept.items()} == planned
    made = table(SETTINGS, tmp_path, made_posts(SETTINGS, "test")).split("\n")
    rows = {line for line in made if line.startswith("| ")}
    assert len(rows) > 40
    assert rows <= set((EVAL.parent / "results" / "alignment.md").read_text().split("\n"))


def arm(rng, num_seeds: int, num_posts: int, chance: float):
    count = np.full(num_posts, 2.0)
    return [(rng.binomial(2, chance, num_posts).astype(float), count) for _ in range(num_seeds)]


def test_a_bootstrap_finds_what_is_there_and_nothing_where_nothing_is() -> None:
    from eval.experiments.aligning.statistics import compare

    rng = np.random.default_rng(0)
    low, high = arm(rng, 10, 400, 0.5), arm(rng, 10, 400, 0.6)
    mean, first, last, p = compare(high, low, 2000, 0)
    assert first < 0.1 < last
    assert mean == pytest.approx(0.1, abs=0.02)
    assert p <= 0.002
    assert compare(low, low, 200, 0) == (0.0, 0.0, 0.0, 1.0)
    # An interval over seeds too is wider than one over posts alone: here seeds differ, and posts do not.
    differ = [(each[0] + shift, each[1]) for shift, each in zip(np.linspace(-0.4, 0.4, 10), low, strict=True)]
    _, first, last, p = compare(differ, low, 2000, 0)
    assert last - first > 0.05
    assert p > 0.2


def test_a_false_alarm_is_as_rare_as_the_p_value_says() -> None:
    from eval.experiments.aligning.statistics import compare

    rng = np.random.default_rng(1)
    alarms = sum(compare(arm(rng, 8, 60, 0.5), arm(rng, 8, 60, 0.5), 200, 0)[3] < 0.05 for _ in range(200))
    assert alarms <= 22


def test_slices_and_the_best_possible_agree_with_the_bound() -> None:
    from eval.experiments.aligning.statistics import CUE_SLICES, best_possible, masks, recalls, share
    from instruct_mner.synthetic.posterior import bound

    made = list(itertools.islice(posts(synthesis_of("dev"), 0), 120))
    slices = masks(made)
    by_cue = np.array([[sum(map(sum, slices[name]))] for name in CUE_SLICES]).sum()
    assert by_cue == sum(map(sum, slices["all"])) == sum(len(post.mentions) for post in made)
    seen = best_possible(made, with_picture=True)
    for name in ("unrelated picture", "several, colour"):
        assert share(seen, slices[name]) == pytest.approx(bound(made, only=name).expected)
    right = [[1] * len(post.mentions) for post in made]
    found, count = recalls({"right": right[:50]}, slices["ambiguous in text"])
    assert len(found) == 50
    assert (found == count).all()
