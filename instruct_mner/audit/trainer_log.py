"""Audit of what LLaMA-Factory and transformers' Trainer write: JSON logs, states, results and arguments of a run.

Raw line of ``trainer_log.jsonl``: ``{"current_steps": 10, "total_steps": 300, "eval_loss": 0.31, "epoch": 0.5}``.

Source: https://github.com/hiyouga/LLaMA-Factory (``src/llamafactory/train/callbacks.py``); ``TrainerState`` of
transformers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from instruct_mner.audit.findings import Audit, Finding
from instruct_mner.audit.json_rows import read_rows
from instruct_mner.data.yaml_files import read_yaml
from instruct_mner.errors import ConfigError
from instruct_mner.files import read_text

FILES = ("trainer_log.jsonl", "trainer_state.json", "all_results.json", "predict_results.json", "training_args.yaml")
"""Files that are read beside each other, where they lie in one folder."""

_TEXT_SCORES = ("bleu", "rouge")
# Words of a name in any spelling: mner_test, mnerTest, MNER-TEST. CoNLL's testa is a dev set.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_TEST_WORDS = frozenset({"test", "tests", "testset", "testing", "testb"})


def audit_trainer(name: str, files: Mapping[str, Path]) -> Audit:
    """Return the findings on the files of a run.

    Args:
        name: Name of the log.
        files: Files by their names, as in ``FILES``.

    Raises:
        DataError: A file cannot be read.
    """
    rows = read_rows(files["trainer_log.jsonl"]).values() if "trainer_log.jsonl" in files else ()
    state = _object(files.get("trainer_state.json"))
    results = {**_object(files.get("all_results.json")), **_object(files.get("predict_results.json"))}
    arguments = _arguments(files.get("training_args.yaml"))
    history = state.get("log_history")
    logged = [*rows, *(each for each in (history if isinstance(history, list) else []) if isinstance(each, dict))]
    findings = [*_choice(logged, state, results, arguments), *_scores(results, logged)]
    return Audit(log=name, layout="files of LLaMA-Factory or of transformers' Trainer", findings=tuple(findings))


def _choice(
    logged: list[Mapping[str, object]],
    state: Mapping[str, object],
    results: Mapping[str, object],
    arguments: Mapping[str, object],
) -> Iterator[Finding]:
    # Two of the files hold the same evaluations; one that names no step is counted by itself.
    steps = (row.get("step", row.get("current_steps", f"row {number}")) for number, row in enumerate(logged)
             if any(key.startswith("eval_") for key in row))  # fmt: skip
    evaluated = len(set(steps))
    best = state.get("best_model_checkpoint")
    eval_set = arguments.get("eval_dataset")
    share = arguments.get("val_size")
    if not evaluated and not any(key.startswith("eval_") for key in results):
        yield Finding(
            topic="choice",
            verdict="unknown",
            text="nothing was evaluated during training: the last checkpoint, or one chosen outside of the log",
        )
        return
    how = (
        f"the checkpoint {Path(str(best)).name} was kept as the best on the evaluation set"
        if best
        else f"an evaluation set was scored {evaluated} time(s); no best checkpoint is named"
    )
    evidence = f"best_model_checkpoint, best_metric {state.get('best_metric')}" if best else ""
    if eval_set:
        is_test = any(word.lower() in _TEST_WORDS for word in _WORD.findall(str(eval_set)))
        text = f"{how}; the evaluation set is {eval_set}" + (", a test set by its name" if is_test else "")
        yield Finding(
            topic="choice",
            verdict="warning" if is_test else "fine",
            text=text,
            evidence=f"training_args.yaml: eval_dataset: {eval_set}",
        )
    elif isinstance(share, int | float) and share > 0:
        text = f"{how}; the evaluation set is a part of the training data, posts of one author or event on both sides"
        yield Finding(topic="choice", verdict="fine", text=text, evidence=f"training_args.yaml: val_size: {share}")
    else:
        yield Finding(
            topic="choice",
            verdict="unknown",
            text=f"{how}; which set that is, these files do not tell (training_args.yaml: eval_dataset, val_size)",
            evidence=evidence,
        )


def _scores(results: Mapping[str, object], logged: list[Mapping[str, object]]) -> Iterator[Finding]:
    names = [key for row in (results, *logged) for key in row]
    text_scores = sorted({key for key in names if any(each in key.lower() for each in _TEXT_SCORES)})
    f1 = sorted({key for key in names if "f1" in key.lower()})
    if text_scores:
        yield Finding(
            topic="score",
            verdict="warning",
            text="BLEU and ROUGE compare answers as texts and are no F1 of entities: score generated_predictions.jsonl "
            "with 'instruct-mner evaluate'",
            evidence=", ".join(text_scores),
        )
    if f1:
        yield Finding(
            topic="score",
            verdict="unknown",
            text="an F1 is in the files; by which rule an entity was right is not (offset, surface, repetitions)",
            evidence=", ".join(f1),
        )
    if not text_scores and not f1:
        yield Finding(topic="score", verdict="unknown", text="the files hold losses and no score of entities")


def _object(path: Path | None) -> Mapping[str, object]:
    if path is None:
        return {}
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}; name the file as the program wrote it") from None
    return value if isinstance(value, dict) else {}


def _arguments(path: Path | None) -> Mapping[str, object]:
    value = {} if path is None else read_yaml(path)
    return value if isinstance(value, dict) else {}
