"""Audit of files of LLaMA-Factory and of transformers' Trainer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instruct_mner.audit.findings import Finding
from instruct_mner.audit.run import audit
from instruct_mner.audit.trainer_log import audit_trainer
from instruct_mner.errors import ConfigError, DataError

LOG = [
    {"current_steps": 10, "total_steps": 20, "loss": 0.5, "lr": 1e-4, "epoch": 0.5, "percentage": 50.0},
    {"current_steps": 10, "total_steps": 20, "eval_loss": 0.31, "epoch": 0.5, "elapsed_time": "0:00:10"},
]


def write(folder: Path, **files: object) -> Path:
    for name, value in files.items():
        stem, _, suffix = name.rpartition("_")
        lines = value if isinstance(value, list) else [value]
        (folder / f"{stem}.{suffix}").write_text("".join(json.dumps(each) + "\n" for each in lines))
    return folder


def findings(folder: Path, topic: str) -> list[Finding]:
    return [each for each in audit(folder).findings if each.topic == topic]


def test_an_evaluation_set_that_is_a_test_set_by_its_name_is_a_warning(tmp_path: Path) -> None:
    folder = write(
        tmp_path, trainer_log_jsonl=LOG, training_args_yaml={"eval_dataset": "twitter2017_test", "dataset": "train"},
        trainer_state_json={"best_model_checkpoint": "saves/checkpoint-10", "best_metric": 0.31, "log_history": []},
    )  # fmt: skip
    [choice] = findings(folder, "choice")
    assert choice.verdict == "warning"
    assert choice.text == (
        "the checkpoint checkpoint-10 was kept as the best on the evaluation set; the evaluation set is "
        "twitter2017_test, a test set by its name"
    )
    assert findings(folder / "trainer_log.jsonl", "choice") == [choice]


def test_a_part_of_train_is_no_test_set(tmp_path: Path) -> None:
    [choice] = findings(write(tmp_path, trainer_log_jsonl=LOG, training_args_yaml={"val_size": 0.1}), "choice")
    assert (choice.verdict, choice.evidence) == ("fine", "training_args.yaml: val_size: 0.1")


@pytest.mark.parametrize(
    ("name", "is_test"),
    [("mner_latest", False), ("contest", False), ("attested", False), ("conll_testa", False), ("conll_testb", True),
     ("mnerTest", True), ("MNER-TEST2017", True), (["dev", "test"], True)],
)  # fmt: skip
def test_a_test_set_is_one_by_a_word_of_its_name(name: object, is_test: bool, tmp_path: Path) -> None:
    [choice] = findings(write(tmp_path, trainer_log_jsonl=LOG, training_args_yaml={"eval_dataset": name}), "choice")
    assert (choice.verdict == "warning") == is_test


def test_an_evaluation_that_stands_in_two_files_is_one(tmp_path: Path) -> None:
    history = [{"step": step, "epoch": 0.5, "eval_loss": 0.31} for step in (10, 20)]
    write(tmp_path, trainer_log_jsonl=LOG, trainer_state_json={"log_history": [{"step": 10, "loss": 0.5}, *history]})
    [choice] = findings(tmp_path, "choice")
    assert "scored 2 time(s)" in choice.text
    write(tmp_path, trainer_state_json={"log_history": [{"eval_loss": 0.3}, {"eval_loss": 0.2}]})
    assert "scored 3 time(s)" in findings(tmp_path, "choice")[0].text


def test_which_set_it_was_is_not_in_the_log_alone(tmp_path: Path) -> None:
    write(tmp_path, trainer_log_jsonl=LOG)
    with (tmp_path / "trainer_log.jsonl").open("a") as file:
        file.write('{"current_steps": 2')  # of a run that was killed
    [choice] = findings(tmp_path, "choice")
    assert choice.verdict == "unknown"
    assert "scored 1 time(s); no best checkpoint is named; which set that is, these files do not tell" in choice.text
    lines = audit(tmp_path).lines()
    assert "labels    cannot be told: the log says nothing about it" in lines


def test_a_log_without_evaluations_does_not_say_what_chose(tmp_path: Path) -> None:
    [choice] = findings(write(tmp_path, trainer_log_jsonl=LOG[:1]), "choice")
    assert (choice.verdict, "nothing was evaluated" in choice.text) == ("unknown", True)


def test_bleu_and_rouge_are_no_f1(tmp_path: Path) -> None:
    results = {"epoch": 3.0, "train_loss": 0.1, "predict_bleu-4": 88.1, "predict_rouge-1": 90.2}
    [score] = findings(write(tmp_path, all_results_json=results), "score")
    assert (score.verdict, score.evidence) == ("warning", "predict_bleu-4, predict_rouge-1")
    [score] = findings(write(tmp_path, all_results_json={"eval_f1": 0.8}), "score")
    assert (score.verdict, score.evidence) == ("unknown", "eval_f1")


def test_a_broken_file_and_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "all_results.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        audit_trainer("log", {"all_results.json": tmp_path / "all_results.json"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no log is known here"):
        audit(tmp_path / "empty")
