"""Audit of run folders of this program: ``mner.json``, ``metrics.jsonl``, ``config.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from instruct_mner.audit.findings import Audit, Finding
from instruct_mner.audit.json_rows import read_rows
from instruct_mner.data.yaml_files import read_yaml
from instruct_mner.errors import DataError, listing
from instruct_mner.models.manifest import FILE_NAME, DatasetStamp, Manifest
from instruct_mner.schema.validation_messages import reasons

METRICS = "metrics.jsonl"
_WEIGHTS = ("adapter", "model")


class _DevScore(BaseModel):
    """Scores of dev in a line of ``metrics.jsonl``."""

    step: int
    eval_f1: float = Field(ge=0, le=1)
    eval_gmner_f1: float | None = Field(default=None, ge=0, le=1)

    @property
    def chosen_by(self) -> float:
        """Score that chooses the checkpoint."""
        return self.eval_f1 if self.eval_gmner_f1 is None else self.eval_gmner_f1


def manifest_of(folder: Path) -> Manifest | None:
    """Return the manifest of a run folder or of its weights; ``None`` where there is none."""
    for place in (folder, *(folder / name for name in _WEIGHTS)):
        if (place / FILE_NAME).is_file():
            return Manifest.load(place)[0]
    return None


def audit_run(name: str, folder: Path) -> Audit:
    """Return the findings on a run folder.

    Args:
        name: Name of the log.
        folder: Folder with a manifest.

    Raises:
        ModelError: The manifest cannot be read.
        DataError: ``metrics.jsonl`` is not as ``finetune`` writes it.
    """
    manifest = manifest_of(folder)
    assert manifest is not None
    metrics = folder / METRICS
    findings = [
        *_choice(manifest, _scored(metrics) if metrics.is_file() else ()),
        *(Finding(topic="choice", verdict="warning", text=f"LEAKED: {line}") for line in manifest.leaked),
        *_labels(manifest.all_datasets),
        *_decoding(folder / "config.yaml"),
    ]
    return Audit(log=name, layout="run of instruct-mner", findings=tuple(findings))


def audit_metrics(name: str, path: Path) -> Audit:
    """Return the findings on ``metrics.jsonl`` alone, which names no data; errors as of :func:`audit_run`."""
    scored = _scored(path)
    text = (
        "dev chose the checkpoint; the file does not say which set that is" if scored else "no dev: the last checkpoint"
    )
    findings = [
        Finding(topic="choice", verdict="unknown" if scored else "fine", text=f"{text}; name the run folder"),
        *_best(scored),
    ]
    return Audit(log=name, layout="metrics.jsonl of instruct-mner", findings=tuple(findings))


def _choice(manifest: Manifest, scored: Sequence[_DevScore]) -> Iterator[Finding]:
    dev = [each for each in manifest.all_datasets if each.role == "dev"]
    tests = [each for each in manifest.all_datasets if each.role == "evaluation"]
    if not any(each.role == "dev" for each in manifest.datasets):
        yield Finding(topic="choice", verdict="fine", text="no dev set: the last checkpoint was kept")
    for each in dev:
        name = f"{each.known or each.name}, {each.num_posts} posts, sha256 {each.sha256[:12]}"
        same = [test for test in tests if test.is_of(each)]
        looks_like_test = (each.known or "").endswith(("test", "test, strict"))
        if same or looks_like_test:
            text = f"the checkpoint was chosen on {name}: a test set"
            yield Finding(topic="choice", verdict="warning", text=text, evidence=f"{FILE_NAME}: role dev")
        else:
            yield Finding(topic="choice", verdict="fine", text=f"chosen on {name}", evidence=f"{FILE_NAME}: role dev")
    if not all(any(each.role == "evaluation" for each in training) for training in manifest.trainings):
        text = "leaks from a test set were not looked for: data.evaluate_on names none"
        yield Finding(topic="choice", verdict="unknown", text=text)
    yield from _best(scored)


def _best(scored: Sequence[_DevScore]) -> Iterator[Finding]:
    if scored:
        best = max(scored, key=lambda score: score.chosen_by)
        score = "F1" if best.eval_gmner_f1 is None else "GMNER F1"
        text = f"{score} of dev {100 * best.chosen_by:.2f} at step {best.step} chose the checkpoint: not to be quoted"
        yield Finding(topic="score", verdict="fine", text=text, evidence=METRICS)


def _labels(stamps: Sequence[DatasetStamp]) -> Iterator[Finding]:
    for each in stamps:
        text = f"{each.role}: {each.known or each.name}, sha256 {each.sha256[:12]}"
        yield Finding(topic="labels", verdict="fine" if each.known else "unknown", text=text, evidence=FILE_NAME)


def _decoding(config: Path) -> Iterator[Finding]:
    values = read_yaml(config) if config.is_file() else None
    data = values.get("data") if isinstance(values, dict) else None
    if isinstance(data, dict):
        decode = data.get("decode", "tolerant")
        text = f"{decode}, of train and dev; that of a score stands in the report of 'evaluate'"
        yield Finding(topic="decoding", verdict="fine", text=text, evidence="config.yaml: data.decode")


def _scored(path: Path) -> list[_DevScore]:
    """Return the scores of dev.

    Raises:
        DataError: The file is not as ``finetune`` writes it.
    """
    scored = []
    for number, row in read_rows(path).items():
        if "eval_f1" not in row:
            continue
        try:
            scored.append(_DevScore.model_validate(row))
        except ValidationError as error:
            problems = listing([f"{path}:{number}: {reason}" for reason in reasons(error, _DevScore)])
            raise DataError(f"{path} is not as 'instruct-mner finetune' writes it:\n{problems}") from None
    return scored
