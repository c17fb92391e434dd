"""Audit of runs of this program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.audit.json_rows import read_rows
from instruct_mner.audit.own_run import audit_run
from instruct_mner.audit.run import audit
from instruct_mner.cli import audit as verb
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.models.manifest import DatasetStamp, Manifest, PromptStamp
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet

METRICS = [{"step": 1, "loss": 2.0}, {"step": 3, "eval_f1": 0.5, "eval_span_f1": 0.6}, {"step": 6, "eval_f1": 0.4}]


def make_run(folder: Path, *stamps: DatasetStamp, leaked: tuple[str, ...] = ()) -> Path:
    prompt = find_prompt("tag")
    manifest = Manifest(
        base_model="starter", family="idefics3", tuning="lora",
        prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        answer=AnswerSpec(labels=LabelSet.of(["PER"])), datasets=stamps, leaked=leaked,
    )  # fmt: skip
    (folder / "adapter").mkdir(parents=True)
    manifest.save(folder / "adapter", prompt)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in METRICS))
    (folder / "config.yaml").write_text("data: {decode: strict}\n")
    return folder


def stamp(role: str, sha256: str, known: str | None = None) -> DatasetStamp:
    values = {"role": role, "name": f"set/{role}", "format": "conll", "sha256": sha256, "num_posts": 5, "known": known}
    return DatasetStamp.model_validate(values)


def test_a_run_says_what_chose_its_checkpoint(tmp_path: Path) -> None:
    stamps = (stamp("train", "a" * 64, "Twitter-2017, train"), stamp("dev", "b" * 64), stamp("evaluation", "c" * 64))
    result = audit_run("run", make_run(tmp_path / "run", *stamps))
    said = {(each.topic, each.verdict): each.text for each in result.findings}
    assert said["choice", "fine"] == f"chosen on set/dev, 5 posts, sha256 {'b' * 12}"
    assert said["score", "fine"] == "F1 of dev 50.00 at step 3 chose the checkpoint: not to be quoted"
    assert said["labels", "fine"] == f"train: Twitter-2017, train, sha256 {'a' * 12}"
    rows = ({"step": 3, "eval_f1": 0.9, "eval_gmner_f1": 0.5}, {"step": 6, "eval_f1": 0.85, "eval_gmner_f1": 0.6})
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    [score] = [each.text for each in audit_run("run", tmp_path / "run").findings if each.topic == "score"]
    assert score == "GMNER F1 of dev 60.00 at step 6 chose the checkpoint: not to be quoted"
    assert said["decoding", "fine"].startswith("strict")
    assert ("choice", "warning") not in said


def test_a_run_that_chose_on_test_or_leaks_says_so(tmp_path: Path) -> None:
    both = (stamp("dev", "c" * 64), stamp("evaluation", "c" * 64))
    result = audit(make_run(tmp_path / "same", *both, leaked=("train: 3 posts",)))
    assert [each.text for each in result.findings if each.verdict == "warning"] == [
        f"the checkpoint was chosen on set/dev, 5 posts, sha256 {'c' * 12}: a test set",
        "LEAKED: train: 3 posts",
    ]
    result = audit(make_run(tmp_path / "named", stamp("dev", "d" * 64, "Twitter-2017, test")))
    verdicts = [(each.topic, each.verdict) for each in result.findings]
    assert verdicts[:2] == [("choice", "warning"), ("choice", "unknown")]


def test_a_reported_score_of_a_run_is_not_left_unread(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="looked for in text logs only; leave out --reported"):
        audit(make_run(tmp_path / "run"), reported="50")


def test_the_command_prints_lines_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_run(tmp_path / "run") / "metrics.jsonl"
    verb.run(path)
    printed = capsys.readouterr().out
    assert "choice    cannot be told: dev chose the checkpoint; the file does not say which set that is" in printed
    verb.run(path, as_json=True)
    as_json = json.loads(capsys.readouterr().out)
    assert as_json["layout"] == "metrics.jsonl of instruct-mner"
    assert {each["topic"] for each in as_json["findings"]} == {"choice", "score"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"epoch": 1, "eval_f1": 0.5}', "step: is needed"),
        ('{"step": 1, "eval_f1": null}', "eval_f1: expected a number"),
        ('{"step": 1, "eval_f1": NaN}', "eval_f1: "),
        ('{"step": 1, "eval_f1": 0.5, "x": {"y": }}', "not a JSON object"),
        ("3", "not a JSON object"),
    ],
)
def test_metrics_that_are_none_of_ours_are_told_with_their_line(tmp_path: Path, row: str, message: str) -> None:
    path = make_run(tmp_path / "run") / "metrics.jsonl"
    whole = path.read_text()
    for after in (whole, ""):
        path.write_text(f"{whole}{row}\n{after}")
        for place in (path, path.parent):
            with pytest.raises(DataError, match=rf"metrics\.jsonl:4: {message}"):
                audit(place)
    # A run that goes on has written a part of its last line.
    path.write_text(whole + '{"step": 9, "eval_f1": 0.9, "x": {"y": 1}')
    assert list(read_rows(path)) == [1, 2, 3]
    assert "F1 of dev 50.00 at step 3" in audit(path).findings[-1].text
    path.write_text('{"step": "1", "eval_f1": 0.5}\n')
    assert "at step 1" in audit(path).findings[-1].text
