"""What a report says of the run behind a prediction file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.cli import app
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.models.manifest import Manifest, PromptStamp
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.scoring.origin import read_origin
from instruct_mner.training.datasets import stamp_of

LEAK = "Twitter-2017, train: 3 of 9 posts stand in a/test"


@pytest.fixture
def gold(tmp_path: Path) -> Dataset:
    path = tmp_path / "test.txt"
    path.write_text("IMGID:1\nBob\tB-PER\n")
    return load_split(f"conll:{path}", missing_image="keep")


def made_run(folder: Path, *stamps, leaked=()) -> Path:
    prompt = find_prompt("tag")
    (folder / "adapter").mkdir(parents=True)
    Manifest(
        base_model="some/model",
        family="qwen3_vl",
        tuning="lora",
        prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        answer=AnswerSpec(labels=LabelSet.of(["PER"])),
        datasets=stamps,
        leaked=leaked,
    ).save(folder / "adapter", prompt)
    return folder


@pytest.mark.parametrize("place", ["", "adapter"])
def test_gold_that_was_trained_on_is_a_leak(tmp_path, gold, place) -> None:
    run = made_run(tmp_path / "run", stamp_of("train", gold))
    origin = read_origin(run / place, gold)
    assert origin.leaked == (f"{gold.name}: the gold itself was trained on",)
    assert (origin.chose_checkpoint, origin.guarded) == (False, False)


def test_the_same_file_read_otherwise_is_known(tmp_path, gold) -> None:
    with_boxes = stamp_of("train", gold).model_copy(update={"sha256": "1" * 64, "file_sha256": gold.sha256})
    assert read_origin(made_run(tmp_path / "run", with_boxes), gold).leaked


def test_gold_that_chose_the_checkpoint_and_gold_that_was_guarded(tmp_path, gold) -> None:
    origin = read_origin(made_run(tmp_path / "run", stamp_of("dev", gold), stamp_of("evaluation", gold)), gold)
    assert (origin.leaked, origin.chose_checkpoint, origin.guarded) == ((), True, True)
    assert any("chose the checkpoint" in line for line in origin.describe())


def evaluate(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_reports_are_stamped(tmp_path, gold) -> None:
    said = tmp_path / "said.jsonl"
    said.write_text('{"id": "1", "text": "Bob", "entities": []}\n')
    honest = made_run(tmp_path / "honest", stamp_of("evaluation", gold))
    unguarded = made_run(tmp_path / "unguarded")
    leaky = made_run(tmp_path / "leaky", leaked=(LEAK,))
    data = f"conll:{gold.path}"

    assert json.loads(evaluate(data, said, "--json"))["origin"] is None
    found = json.loads(evaluate(data, said, said, "--json", "--run", honest, "--run", leaky))
    assert (found["origin"]["leaked"], found["origin"]["guarded"]) == ([], True)
    assert found["comparison"]["origin"]["leaked"] == [LEAK]

    assert "LEAKED" not in evaluate(data, said, "--run", honest)
    table = evaluate(data, said, "--run", leaky)
    assert f"LEAKED  {LEAK}" in table
    assert table.index("LEAKED") < table.index("micro")
    assert "were not looked for" in evaluate(data, said, "--run", unguarded)


def test_runs_that_do_not_fit(tmp_path, gold) -> None:
    said = tmp_path / "said.jsonl"
    said.write_text('{"id": "1", "text": "Bob", "entities": []}\n')
    with pytest.raises(ModelError, match=r"no mner\.json"):
        evaluate(f"conll:{gold.path}", said, "--run", tmp_path)
    with pytest.raises(ConfigError, match=r"2 runs are given for 1 prediction file"):
        evaluate(f"conll:{gold.path}", said, "--run", tmp_path, "--run", tmp_path)


def test_published_gold_is_named(shared_data, tmp_path) -> None:
    path = shared_data / "twitter2015_repaired" / "test.txt"
    said = tmp_path / "said.jsonl"
    posts = load_split(f"conll:{path}", missing_image="keep").examples
    said.write_text("".join(json.dumps({"id": post.id, "text": post.text, "entities": []}) + "\n" for post in posts))
    report = json.loads(evaluate(f"conll:{path}", said, "--json", "--resamples", 1))
    assert report["gold"]["known"] == "Twitter-2015 (repaired labels), test"
    assert "Twitter-2015 (repaired labels), test" in evaluate(f"conll:{path}", said, "--resamples", 1)


@pytest.mark.parametrize("change", ["crlf", "bom", "no-end", "jsonl"])
def test_gold_that_was_trained_on_is_known_however_it_is_written(tmp_path, gold, change: str) -> None:
    run = made_run(tmp_path / "run", stamp_of("train", gold))
    content = gold.path.read_bytes()
    copy = tmp_path / f"copy.{'jsonl' if change == 'jsonl' else 'txt'}"
    if change == "jsonl":
        write_jsonl(copy, gold.examples)
    else:
        changed = {"crlf": content.replace(b"\n", b"\r\n"), "bom": b"\xef\xbb\xbf" + content, "no-end": content.strip()}
        copy.write_bytes(changed[change])
    again = load_split(str(copy), missing_image="keep")
    assert again.sha256 != gold.sha256
    assert "the gold itself was trained on" in read_origin(run, again).leaked[0]
    assert stamp_of("train", gold).is_of(again)
