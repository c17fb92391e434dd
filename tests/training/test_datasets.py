"""The data of a run: guarded against leaks, stamped, and said in every output of the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError
from instruct_mner.models.manifest import Manifest
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.config import DataSettings, FinetuneConfig
from instruct_mner.training.datasets import load_sources


def sources_of(**settings: object):
    return load_sources(DataSettings.model_validate(settings))


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    return make_posts(tmp_path / "posts")


@pytest.fixture
def held_out(tmp_path: Path, posts: Path) -> Path:
    """Two of the six posts under other ids: one by its text, one by its picture; and a post of its own."""
    examples = load_split(str(posts)).examples
    others = [
        examples[0].without_images().model_copy(update={"id": "x"}),
        examples[2].model_copy(update={"id": "y", "text": "Acme shuts in Lagos", "entities": None}),
        examples[1].model_copy(update={"id": "z", "text": "something else"}),
    ]
    path = posts.parent / "held_out.jsonl"
    write_jsonl(path, others)
    return path


def test_splits_are_stamped(posts: Path, held_out: Path) -> None:
    sources = sources_of(train=str(posts), dev=str(posts), evaluate_on=[str(held_out)], leaks="drop")
    assert [(stamp.role, stamp.num_posts, stamp.num_dropped) for stamp in sources.stamps] == [
        ("train", 4, 2),
        ("dev", 4, 2),
        ("evaluation", 3, 0),
    ]
    assert [example.id for example in sources.train.examples] == ["post-1", "post-3", "post-4", "post-5"]
    assert (sources.leaks[0].num_by_text, sources.leaks[0].num_by_picture) == (1, 1)
    assert sources.leaked == ()
    assert any(line.startswith("dropped   2 posts of train") for line in sources.describe())


def test_posts_of_dev_that_stand_in_train_are_counted(posts: Path, held_out: Path) -> None:
    note = "note      {} of {} posts of dev are in train: its score says little"
    assert note.format(6, 6) in list(sources_of(train=str(posts), dev=str(posts)).describe())
    assert note.format(1, 2) in list(sources_of(train=str(posts), dev=annotated(held_out)).describe())


def annotated(posts: Path) -> str:
    path = posts.with_name("annotated.jsonl")
    write_jsonl(path, [each for each in load_split(str(posts)).examples if each.entities is not None])
    return str(path)


def test_without_declared_splits_it_says_that_nothing_was_looked_for(posts: Path) -> None:
    assert list(sources_of(train=str(posts)).describe()) == [
        "leaks     not looked for: data.evaluate_on names no split"
    ]


@pytest.mark.prove  # thirteen seconds; what leaks is counted in test_leaks.py in every run
def test_published_sets_are_named_and_refused(shared_data: Path) -> None:
    settings = {
        "train": f"gmner:{shared_data / 'gmner' / 'txt' / 'train.txt'}",
        "evaluate_on": [f"conll:{shared_data / 'twitter2015' / 'test.txt'}"],
        "missing_image": "text",
    }
    with pytest.raises(DataError, match=r"1568 of 7000 .* Twitter-2015 \(original labels\), test: 1563 by id"):
        sources_of(**settings)
    sources = sources_of(**settings, leaks="drop")
    assert [(stamp.known, stamp.num_posts) for stamp in sources.stamps] == [
        ("Twitter-GMNER v2.0, train", 5432),
        ("Twitter-2015 (original labels), test", 3257),
    ]


def test_the_column_of_labels_is_handed_on(shared_data: Path) -> None:
    data = f"fmnerg:{shared_data / 'fmnerg' / 'dev.txt'}"
    sources = sources_of(train=data, missing_image="text", label_column="coarse")
    assert len({entity.label for example in sources.train.examples for entity in example.gold}) == 8


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_carries_its_leaks(tiny_models, tmp_path: Path, posts: Path, held_out: Path) -> None:
    config = tmp_path / "config.yaml"
    values = {
        "model": str(tiny_models("idefics3")),
        "data": {"train": str(posts), "evaluate_on": [str(held_out)]},
        "lora": {"rank": 8},
        "optimizer": {"max_steps": 1, "batch_size": 2},
    }
    config.write_text(yaml.safe_dump({**values, "output": str(tmp_path / "refused")}))
    with pytest.raises(DataError, match="2 of 6 posts stand in posts/held_out"):
        run("finetune", config)
    assert not (tmp_path / "refused").exists()

    said = {}
    for leaks in ("drop", "allow"):
        said[leaks] = run("finetune", config, "--leaks", leaks, "--set", f"output={tmp_path / leaks}")
        assert (
            FinetuneConfig.model_validate(yaml.safe_load((tmp_path / leaks / "config.yaml").read_text())).data.leaks
            == leaks
        )
    cards = {leaks: (tmp_path / leaks / "README.md").read_text() for leaks in said}
    manifests = {leaks: Manifest.load(tmp_path / leaks / "adapter")[0] for leaks in said}
    assert manifests["drop"].leaked == ()
    assert "LEAKED" not in said["drop"] + cards["drop"]
    assert "2 were left out for it" in cards["drop"]
    [leak] = manifests["allow"].leaked
    assert "1 by text under another id, 1 by picture alone" in leak
    assert f"LEAKED    {leak}" in said["allow"]
    assert "**LEAKED**" in cards["allow"]
    assert leak in cards["allow"]

    predictions = tmp_path / "predictions.jsonl"
    rows = [{"id": post.id, "text": post.text, "entities": []} for post in load_split(str(posts)).examples]
    predictions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = run("evaluate", posts, predictions, "--run", tmp_path / "allow", "--resamples", 10)
    assert report.index("LEAKED") < report.index("micro")
    assert "the gold itself was trained on" in report


def test_segmentation_comes_from_the_data_unless_it_is_set(tiny_models, tmp_path: Path) -> None:
    from instruct_mner.training.setup import prepare

    data = tmp_path / "weibo" / "train.txt"
    data.parent.mkdir()
    data.write_text("WID:1\n雪\tB-ORG\n佛\tI-ORG\n")
    values = {"model": str(tiny_models("idefics3")), "data": {"train": str(data)}, "output": str(tmp_path / "run")}
    assert prepare(FinetuneConfig.model_validate(values)).spec.segmentation == "characters"
    values["answer"] = {"segmentation": "words"}
    assert prepare(FinetuneConfig.model_validate(values)).spec.segmentation == "words"
