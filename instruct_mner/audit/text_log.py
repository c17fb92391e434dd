"""Audit of text logs of training loops that score dev and test after each epoch (UMT, MKGformer and their heirs).

Raw lines: ``The best Micro-F1 score on the test set:  0.8533`` (UMT), ``Get best test performance at epoch 12, best
test f1 score is 0.874`` (MKGformer).

Source: https://github.com/jefferyYu/UMT (``log files``); https://github.com/zjunlp/MKGformer
(``MNER/modules/train.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from instruct_mner.audit.evaluations import Evaluation, read_evaluations
from instruct_mner.audit.findings import Audit, Finding, Verdict
from instruct_mner.audit.supports import findings_on
from instruct_mner.errors import DataError

_BEST = re.compile(
    r"best (?:(?:micro-?f1 score|\w*f1\w*) on the (dev|test) set:?|(dev|test) f1 score is)\s*(\d+\.?\d*|\.\d+)",
    re.IGNORECASE,
)
# Of scores in per cent: tables have four digits of a share.
_DIGITS = 2


def audit_text(name: str, lines: Sequence[str], reported: Decimal | None) -> Audit:
    """Return the findings on a text log.

    Args:
        name: Name of the log.
        lines: Lines of the log.
        reported: F1 that was reported for this run, in per cent, with the digits that were written.

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
        text = f"the epoch that dev chose ({_epoch(chosen)}) has {chosen.f1:.2f} on test"
        yield Finding(topic="choice", verdict="fine", text=text, evidence=f"line {chosen.line}")
    if "test" in summaries:
        value, evidence = summaries["test"]
        if chosen is not None and _same(value, chosen.f1):
            text = f"the best score on test, {value:.2f}, is that of the epoch of dev"
            yield Finding(topic="choice", verdict="fine", text=text, evidence=evidence)
            return
        gain = "" if chosen is None else f", {value - chosen.f1:+.2f} above that of dev"
        text = f"the log sums up the best score on test, {value:.2f}{gain}: quoting it is choosing the epoch on test"
        yield Finding(topic="choice", verdict="warning", text=text, evidence=evidence)
    elif best is not None and len(tests) > 1:
        text = f"test was scored {len(tests)} times; the best, {best.f1:.2f} ({_epoch(best)}), is chosen on test"
        yield Finding(topic="choice", verdict="warning", text=text, evidence=f"line {best.line}")
    if chosen is None and len(tests) < 2:
        yield Finding(topic="choice", verdict="unknown", text="the log does not say which epoch was kept, and by what")


@dataclass(frozen=True, kw_only=True)
class _TestScore:
    """Test score in per cent, its epoch, and the judgement on a reported number that is this score."""

    f1: float
    epoch: str
    judgement: str
    verdict: Verdict = "warning"


def _reported(
    evaluations: Sequence[Evaluation], summaries: dict[str, tuple[float, str]], reported: Decimal | None
) -> Iterator[Finding]:
    """Look for a number among the test scores of the log, to the digits in which it was reported."""
    if reported is None:
        return
    number, digits = f"{reported:f}", -int(reported.as_tuple().exponent)
    scores = [each for each in _test_scores(evaluations, summaries) if _same(float(reported), each.f1, digits)]
    if not scores:
        share = (
            f"; it is taken as per cent: for a share of {number} give {reported.scaleb(2):f}" if reported <= 1 else ""
        )
        yield Finding(topic="score", verdict="warning", text=f"{number} is no test score of this log{share}")
        return
    # The nearest; the first of those that are as near.
    nearest = min(scores, key=lambda each: round(abs(each.f1 - float(reported)), 6))
    rest = f"; {len(scores) - 1} other test score(s) of this log round to it, too" if len(scores) > 1 else ""
    text = f"{number} is the test score {nearest.f1:.2f} ({nearest.epoch}), {nearest.judgement}{rest}"
    yield Finding(topic="score", verdict=nearest.verdict, text=text)


def _test_scores(evaluations: Sequence[Evaluation], summaries: dict[str, tuple[float, str]]) -> list[_TestScore]:
    """Return the test scores of the log, each once: that of the epoch of dev, the best, and the others."""
    tests = [each for each in evaluations if each.split == "test"]
    chosen, best = _by_dev(evaluations), _best([each for each in tests if not each.of_best_dev])
    scores = []
    if chosen is not None:
        scores.append(_TestScore(f1=chosen.f1, epoch=_epoch(chosen), judgement="which dev chose", verdict="fine"))
    most = summaries["test"][0] if "test" in summaries else None if best is None else best.f1
    if most is not None:
        named = best if best is not None and _same(most, best.f1) else None
        scores.append(
            _TestScore(f1=most, epoch=_epoch(named), judgement="the best of all epochs: it was chosen on test")
        )
    scores += [
        _TestScore(f1=each.f1, epoch=_epoch(each), judgement="which neither dev nor test chose") for each in tests
    ]
    return [each for at, each in enumerate(scores) if not any(_same(each.f1, other.f1) for other in scores[:at])]


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
    return max(evaluations, key=lambda each: each.f1, default=None)


def _same(first: float, second: float, digits: int = _DIGITS) -> bool:
    """Return true where two scores in per cent are one, as far as both are written: half a unit apart at most."""
    return abs(first - second) <= 0.5 * 10.0 ** -max(0, min(digits, _DIGITS)) + 1e-9


def _epoch(evaluation: Evaluation | None) -> str:
    if evaluation is not None and evaluation.of_best_dev:
        return "the log says so"
    return "epoch not named" if evaluation is None or evaluation.epoch is None else f"epoch {evaluation.epoch}"
