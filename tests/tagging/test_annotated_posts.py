"""Posts are read in Python from files of any kind, and predictions are scored as the command scores them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from name_finder import NameFinder, tagger_of
from PIL import Image

import instruct_mner
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.files import GoldSource, evaluate_files
from instruct_mner.scoring.report import Report
from instruct_mner.tagging.annotated_posts import evaluate, load


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "pics").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "pics" / "a.png")
    path = tmp_path / "posts.csv"
    path.write_text("id,text,image,likes\n7,Zoe left,a.png,3\n8,rain,b.png,4\n")
    return path


def annotated(*entities: tuple[int, int, str]) -> list[Example]:
    marks = [
        {"start": start, "end": end, "text": "Zoe left"[start:end], "label": label} for start, end, label in entities
    ]
    return [
        Example.model_validate({"id": "7", "text": "Zoe left", "entities": marks}),
        Example(id="8", text="rain", entities=()),
    ]


def test_a_table_is_read_with_the_paths_of_its_pictures(table: Path, capsys) -> None:
    posts = load(table, images=table.parent / "pics")
    assert [(post.id, post.text, post.meta) for post in posts] == [
        ("7", "Zoe left", {"likes": "3"}), ("8", "rain", {"likes": "4"}),
    ]  # fmt: skip
    assert [post.images for post in posts] == [(str(table.parent / "pics" / "a.png"),), ("b.png",)]
    assert "1 of 2 pictures are not in" in capsys.readouterr().err


def test_posts_that_are_read_can_be_tagged_and_scored(table: Path) -> None:
    posts = [post.without_images() for post in load(str(table))]
    predictions = tagger_of(NameFinder())([post.text for post in posts], progress=False)
    report = evaluate(annotated((0, 3, "PER")), predictions)
    assert (report.micro.score.f1, report.micro.score.gold) == (1.0, 1)


def test_scores_are_those_of_the_command(tmp_path: Path) -> None:
    gold, predicted = tmp_path / "gold.jsonl", tmp_path / "predicted.jsonl"
    gold.write_text("".join(post.model_dump_json(exclude_none=True) + "\n" for post in annotated((0, 3, "PER"))))
    row = {"id": "7", "text": "Zoe left", "entities": [{"start": 0, "end": 8, "text": "Zoe left", "label": "PER"}]}
    predicted.write_text(json.dumps(row) + "\n" + '{"id": "8", "text": "rain", "entities": []}\n')
    here = evaluate(gold, predicted, num_resamples=50)
    there = evaluate_files(GoldSource(data=str(gold)), [predicted], num_resamples=50)
    assert isinstance(there, Report)
    assert here.gold.num_posts == there.gold.num_posts == 2
    assert replace(here, gold=there.gold).to_dict() == there.to_dict()


def test_what_a_generator_gives_once_is_scored() -> None:
    gold = annotated((0, 3, "PER"))
    listed = tagger_of(NameFinder())([post.text for post in gold], progress=False)
    for gold_once, predicted in ((iter(gold), iter(listed)), (gold, (each for each in listed))):
        report = evaluate(gold_once, predicted)
        assert (report.micro.score.f1, report.micro.score.gold) == (1.0, 1)


def test_predictions_of_other_posts_are_refused() -> None:
    with pytest.raises(DataError, match="not of the same posts"):
        evaluate(annotated(), [Prediction(id="7", text="Zoe left", entities=())])
    unannotated = [Example(id="7", text="Zoe left")]
    with pytest.raises(DataError, match="without 'entities'"):
        evaluate(unannotated, [Prediction(id="0", text="Zoe left", entities=())])


def test_the_package_has_both_by_name() -> None:
    assert (instruct_mner.evaluate, instruct_mner.load) == (evaluate, load)


def test_columns_of_gold_and_prediction_are_scored_as_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "both.txt"
    path.write_text("Zoe B-PER B-PER\nleft O O\nOslo B-LOC B-PER\n")
    here, there = (
        evaluate(path, path, num_resamples=20),
        evaluate_files(GoldSource(data=str(path)), [], num_resamples=20),
    )
    assert isinstance(there, Report)
    assert here.micro == there.micro
    assert (here.micro.score.f1, here.gold.name) == (0.5, str(path))
    assert "its last column of tags is taken for the prediction" in capsys.readouterr().err
