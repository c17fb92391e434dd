"""The plan of an experiment: arms, data and settings are checked before the first run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_experiment import make_splits, plan_of

from instruct_mner.errors import ConfigError, DataError
from instruct_mner.experiment.arms import choose_arms, known_arms, merged
from instruct_mner.experiment.data import find_splits, published_sets, set_known_as
from instruct_mner.experiment.estimate import describe_experiment
from instruct_mner.experiment.plan import Plan, read_sources, write_plan
from instruct_mner.experiment.published import published_scores
from instruct_mner.training.config import FinetuneConfig

ALL = tuple(known_arms())


def test_every_arm_is_a_config_over_one_base(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ALL, overrides=("optimizer.epochs=5",))
    configs = {arm.name: plan.config(arm, 1) for arm in plan.arms}
    assert {config.seed for config in configs.values()} == {1}
    assert {config.optimizer.epochs for config in configs.values()} == {5}
    assert configs["plain"].output == tmp_path / "out" / "plain-1"
    assert configs["text-only"].max_images == 0
    assert [name for name, _ in configs["smner"].alignment.each()] == [
        "information_bottleneck",
        "region_span_grounding",
    ]
    assert [name for name, _ in configs["ita"].alignment.each()] == ["cross_view"]
    assert configs["plain"].data.evaluate_on == (f"conll:{tmp_path / 'data' / 'test.txt'}",)
    assert configs["ita"].vision_cache.folder == tmp_path / "out" / "vision"
    own = plan_of(tmp_path, ALL, overrides=(f"vision_cache.folder={tmp_path}",))
    assert own.config(own.arms[0], 0).vision_cache.folder == tmp_path
    changed = {"alignment", "max_images", "data", "answer", "output"}
    plain = configs["plain"].model_dump(exclude=changed)
    assert all(config.model_dump(exclude=changed) == plain for config in configs.values())


def test_runs_go_seed_by_seed_and_an_untrained_arm_has_one(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["plain", "shuffled", "zero-shot"], seeds=2)
    runs = list(plan.runs())
    assert [run.name for run in runs] == ["plain-0", "shuffled-0", "zero-shot-0", "plain-1", "shuffled-1"]
    assert runs[1].folder == runs[0].folder
    assert not runs[1].arm.trains


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        (["plian"], "plian: no such arm; did you mean 'plain'"),
        (["shuffled"], "shuffled: tags with the runs of plain; name that arm too"),
        (["plain", "plain"], "plain: named twice"),
        ([], "name one"),
    ],
)
def test_wrong_arms_are_named(arms: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_arms(arms)


def test_arms_of_the_user_are_added_and_their_mistakes_named(tmp_path: Path) -> None:
    path = tmp_path / "arms.yaml"
    path.write_text("fast: {change: {optimizer: {epochs: 1}}}\n")
    [arm] = choose_arms(["fast"], path)
    assert merged({"optimizer": {"epochs": 3, "batch_size": 2}}, arm.change) == {
        "optimizer": {"epochs": 1, "batch_size": 2}
    }
    path.write_text("fast: {chnage: {}}\nslow: 3\n")
    with pytest.raises(ConfigError, match=r"(?s)fast: chnage: .*slow: "):
        choose_arms(["fast"], path)


def test_what_a_text_model_cannot_do_is_said_for_all_arms_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)arm ita: smollm2 reads text only.*arm bga: smollm2 reads text only"):
        plan_of(tmp_path, ["plain", "ita", "bga"], model="smollm2")


def test_a_setting_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"arm plain:.*\n?.*optimizer\.epoch"):
        plan_of(tmp_path, ["plain"], overrides=("optimizer.epoch=5",))


def test_a_published_set_that_is_not_there_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"get train\.txt, .* from https://github\.com/jefferyYu/UMT.* --data"):
        find_splits("twitter2017", tmp_path / "nowhere")
    splits = find_splits("twitter2017", make_splits(tmp_path / "here"))
    assert (splits.name, splits.dev) == ("twitter2017", f"conll:{tmp_path / 'here' / 'valid.txt'}")
    (tmp_path / "here" / "test.txt").unlink()
    with pytest.raises(ConfigError, match="there is no test"):
        find_splits(str(tmp_path / "here"), None)
    with pytest.raises(ConfigError, match="--data goes with the name"):
        find_splits(str(tmp_path / "here"), tmp_path)


def test_settings_of_published_sets_are_settings_of_finetune() -> None:
    for each in published_sets().values():
        data = {"train": "t", "missing_image": "text"}
        FinetuneConfig.model_validate(merged({"model": "m", "data": data, "output": "o"}, each.config))
    assert set_known_as("Twitter-2015 (repaired labels), test") == "twitter2015"
    assert set_known_as(None) is set_known_as("posts") is None


def test_published_scores_carry_a_stamp_and_unchecked_ones_say_so() -> None:
    rows = [row for name in published_sets() for row in published_scores(name)]
    assert {row.stamp for row in rows} <= {"paper", "summary", "log", "unchecked"}
    assert all(row.stamp == "unchecked" for row in rows if "BGA" in row.system)
    assert published_scores(None) == ()


def test_the_plan_is_written_and_another_is_refused(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["plain"])
    stamps = read_sources(plan).stamps
    write_plan(plan, stamps)
    written = json.loads((tmp_path / "out" / "experiment.json").read_text())
    assert {role: len(each["sha256"]) for role, each in written["data"].items()} == {
        "train": 64, "dev": 64, "evaluation": 64,
    }  # fmt: skip
    write_plan(plan_of(tmp_path, ["plain", "ita"], seeds=5), stamps)
    with pytest.raises(ConfigError, match="holds an experiment with other base"):
        write_plan(plan_of(tmp_path, ["plain"], overrides=("optimizer.epochs=5",)), stamps)
    (tmp_path / "data" / "train.txt").write_text("Bo\tB-PER\nin\tO\nBonn\tB-LOC\n\n")
    with pytest.raises(ConfigError, match="holds an experiment with other data"):
        write_plan(plan, read_sources(plan).stamps)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ConfigError, match=r"is not empty and holds no experiment\.json"):
        write_plan(plan_of(tmp_path, ["plain"], output=tmp_path / "other"), stamps)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mine: {change: {optimizer: {epochs: 1}}}", "mine: {change: {optimizer: {epochs: 2}}}"),
        ("mine: {of: plain}", "mine: {of: plain, pictures: none}"),
        ("mine: {of: plain}", "mine: {change: {max_images: 0}}"),
    ],
)
def test_an_arm_whose_definition_changed_is_refused(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "arms.yaml"

    def planned(text: str, *names: str) -> Plan:
        path.write_text(text)
        return plan_of(tmp_path, names, arms_file=path)

    plan = planned(before, "plain", "mine")
    stamps = read_sources(plan).stamps
    write_plan(plan, stamps)
    # Words about an arm may change, and its runs stay while it is not named.
    write_plan(planned(before[:-1] + ", about: the same}", "plain", "mine"), stamps)
    write_plan(planned(before, "plain"), stamps)
    with pytest.raises(ConfigError, match=r"other settings of arm mine, see .*; take these back"):
        write_plan(planned(after, "plain", "mine"), stamps)
    write_plan(planned(after.replace("mine", "other"), "plain", "other"), stamps)


def test_arms_that_need_pictures_are_refused_before_the_first_run(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["plain", "smner", "bga", "bga-generated"])
    with pytest.raises(DataError) as refused:
        read_sources(plan)
    lines = str(refused.value).split("\n")
    assert [line.split(": ")[0] for line in lines] == ["arm(s) smner", "arm(s) bga"]
    assert all("need(s) pictures, of which none is shown" in line for line in lines)


def test_the_dry_run_adds_up_all_runs_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from instruct_mner.experiment import estimate
    from instruct_mner.training.steps import Estimate

    tried = Estimate(
        num_steps=100, step_seconds=(5.0, 3.0), num_evaluations=3, dev_seconds=20.0, peak_bytes=2**31, num_dev_posts=10
    )
    monkeypatch.setattr(estimate, "_tried", lambda config: tried)
    plan = plan_of(tmp_path, ["plain", "shuffled", "zero-shot"], seeds=3)
    console = Console(record=True, width=200)
    describe_experiment(plan.settings, console)
    text = console.export_text()
    # (360 + 2 taggings of 4 posts at 2 s) seconds, three times.
    assert "plain            training 0:06:00, tagging test 0:00:08, peak 2.0 GiB" in text
    assert "7 runs over 3 seed(s): about 0.3 hours" in text
    assert "sha256" in text
    assert not (tmp_path / "out").exists()
