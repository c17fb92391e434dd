"""Audit of text logs of training loops that score dev and test after each epoch (UMT, MKGformer and their heirs).

Raw lines: ``The best Micro-F1 score on the test set:  0.8533`` (UMT), ``Get best test performance at epoch 12, best
test f1 score is 0.874`` (MKGformer).

Source: https://github.com/jefferyYu/UMT (``log files``); https://github.com/zjunlp/MKGformer
(``MNER/modules/train.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from instruct_mner.audit.evaluations import Evaluation, read_evaluations
from instruct_mner.audit.findings import Audit, Finding
from instruct_mner.audit.supports import findings_on
from instruct_mner.errors import DataError

_BEST = re.compile(
    r"best (?:(?:micro-?f1 score|\w*f1\w*) on the (dev|test) set:?|(dev|test) f1 score is)\s*(\d+\.?\d*|\.\d+)",
    re.IGNORECASE,
)


def audit_text(name: str, lines: Sequence[str], reported: float | None) -> Audit:
    """Return the findings on a text log.

    Args:
        name: Name of the log.
        lines: Lines of the log.
        reported: F1 that was reported for this run, in per cent.

    Raises:
        DataError: It holds no scores that are known here.
    """
    evaluations = read_evaluations(lines)
    summaries = dict(_summaries(lines))
    if not evaluations and not summaries:
        raise DataError(
            f"{name}: no table of dev or test scores was recognised; known are logs of UMT and MKGformer, files of "
            "LLaMA-Factory and of transformers' Trainer, and runs of this program"
        )
    findings = [*_choices(evaluations, summaries), *_reported(evaluations, summaries, reported)]
    tests = [each for each in evaluations if each.split == "test"]
    if tests:
        last = tests[-1]
        findings += findings_on(last.num_entities, last.types, f"line {last.line}: {lines[last.line - 1].strip()}")
    return Audit(log=name, layout="log of a training loop with tables of scores", findings=tuple(findings))


def _summaries(lines: Sequence[str]) -> Iterator[tuple[str, tuple[float, str]]]:
    """Yield the best score of each split, as the log itself sums it up, in per cent, with its line."""
    for number, line in enumerate(lines, start=1):
        for match in _BEST.finditer(line):
            split, value = (match[1] or match[2]).lower(), float(match[3])
            yield split, (value if value > 1 else 100 * value, f"line {number}: {line.strip()[-200:]}")


def _choices(evaluations: Sequence[Evaluation], summaries: dict[str, tuple[float, str]]) -> Iterator[Finding]:
    tests = [each for each in evaluations if each.split == "test" and not each.of_best_dev]
    chosen, best = _by_dev(evaluations), _best(tests)
    if chosen is not None:
        text = f"the epoch that dev chose ({_epoch(chosen)}) has {_score(chosen)} on test"
        yield Finding(topic="choice", verdict="fine", text=text, evidence=f"line {chosen.line}")
    if "test" in summaries:
        value, evidence = summaries["test"]
        if chosen is not None and chosen.f1 is not None and _same(value, 100 * chosen.f1):
            text = f"the best score on test, {value:.2f}, is that of the epoch of dev"
            yield Finding(topic="choice", verdict="fine", text=text, evidence=evidence)
            return
        gain = "" if chosen is None or chosen.f1 is None else f", {value - 100 * chosen.f1:+.2f} above that of dev"
        text = f"the log sums up the best score on test, {value:.2f}{gain}: quoting it is choosing the epoch on test"
        yield Finding(topic="choice", verdict="warning", text=text, evidence=evidence)
    elif best is not None and len(tests) > 1:
        text = f"test was scored {len(tests)} times; the best, {_score(best)} ({_epoch(best)}), is chosen on test"
        yield Finding(topic="choice", verdict="warning", text=text, evidence=f"line {best.line}")
    if chosen is None and len(tests) < 2:
        yield Finding(topic="choice", verdict="unknown", text="the log does not say which epoch was kept, and by what")


def _reported(
    evaluations: Sequence[Evaluation], summaries: dict[str, tuple[float, str]], reported: float | None
) -> Iterator[Finding]:
    """Compare a number that was reported with those that the log has."""
    if reported is None:
        return
    tests = [each for each in evaluations if each.split == "test"]
    chosen, best = _by_dev(evaluations), _best(tests)
    most = summaries.get("test", (None if best is None or best.f1 is None else 100 * best.f1, ""))[0]
    if chosen is not None and chosen.f1 is not None and _same(reported, 100 * chosen.f1):
        yield Finding(topic="score", verdict="fine", text=f"{reported:.2f} is the test score of the epoch of dev")
    elif most is not None and _same(reported, most):
        text = f"{reported:.2f} is the best test score of all epochs: it was chosen on test"
        yield Finding(topic="score", verdict="warning", text=text)
    elif any(each.f1 is not None and _same(reported, 100 * each.f1) for each in tests):
        text = f"{reported:.2f} is the test score of an epoch that neither dev nor test chose"
        yield Finding(topic="score", verdict="warning", text=text)
    else:
        share = (
            f"; it is taken as per cent: for a share of {reported:g} give {100 * reported:.2f}" if reported <= 1 else ""
        )
        yield Finding(topic="score", verdict="warning", text=f"{reported:.2f} is no test score of this log{share}")


def _by_dev(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """Return the test scores of the model that dev chose: as the log says, or of the epoch of the best dev score."""
    named = [each for each in evaluations if each.split == "test" and each.of_best_dev]
    if named:
        return named[-1]
    best = _best([each for each in evaluations if each.split == "dev"])
    if best is None or best.epoch is None:
        return None
    return next((each for each in evaluations if each.split == "test" and each.epoch == best.epoch), None)


def _best(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    scored = [each for each in evaluations if each.f1 is not None]
    return max(scored, key=lambda each: each.f1 or 0.0) if scored else None


def _same(first: float, second: float) -> bool:
    # Tables have four digits of a share, papers two of a percentage.
    return abs(first - second) < 0.0101


def _score(evaluation: Evaluation) -> str:
    return f"{100 * (evaluation.f1 or 0.0):.2f}"


def _epoch(evaluation: Evaluation) -> str:
    if evaluation.of_best_dev:
        return "the log says so"
    return "epoch not named" if evaluation.epoch is None else f"epoch {evaluation.epoch}"
