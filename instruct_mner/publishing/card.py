"""Model card for the hub: the text that ``finetune`` wrote, under metadata that the hub indexes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from instruct_mner.errors import ConfigError
from instruct_mner.files import read_text
from instruct_mner.models.manifest import DatasetStamp
from instruct_mner.publishing.run_files import RunFiles

_TASK, _TASK_NAME = "token-classification", "Multimodal named entity recognition"
_COMMAND = re.compile(r"(instruct-mner tag posts\.jsonl --(?:adapter|model)) .* -o predictions\.jsonl")
_SPLIT = re.compile(r", (train|dev|test)(, strict)?$")


@dataclass(frozen=True, kw_only=True)
class SetScore:
    """Scores of a run on one test set, as ``evaluate --json --run`` writes them.

    Attributes:
        dataset: Name of the set with the version of its labels.
        sha256: Hash of the file.
        decode: Decoding of BIO tags.
        match: Rule by which an entity is right.
        num_posts: Number of posts.
        scores: Name and value of each score, in 0..1.
        leaked: Training posts that stand in an evaluation set, a line for each pair of sets.
    """

    dataset: str
    sha256: str
    decode: str
    match: str
    num_posts: int
    scores: Mapping[str, float]
    leaked: tuple[str, ...]


def read_score(path: Path, datasets: Sequence[DatasetStamp]) -> SetScore:
    """Read a report, and check that it is one of this run.

    Args:
        path: File that ``evaluate --json --run RUN`` printed, or one of an experiment.
        datasets: Data sets of the run.

    Raises:
        ConfigError: It is not such a report, or one of another run.
    """
    try:
        report = json.loads(read_text(path))
        gold, origin = report["gold"], report["origin"]
        scores = {"micro F1": report["micro"]["f1"], "span F1": report["span_only"]["f1"]}
        if report["triples"]:
            scores["GMNER F1"] = report["triples"]["gmner"]["f1"]
        of = None if origin is None else {(each["role"], each["sha256"]) for each in origin["datasets"]}
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{path}: not the report of one run; write it with 'instruct-mner evaluate GOLD PRED --json --run RUN'"
        ) from None
    if of is None or of != {(each.role, each.sha256) for each in datasets}:
        reason = "does not say which run it is of" if of is None else "is of a run on other data"
        raise ConfigError(f"{path}: {reason}; score the predictions of this run with 'evaluate --json --run RUN'")
    return SetScore(
        dataset=gold["known"] or gold["name"],
        sha256=gold["sha256"],
        decode=gold["decode"],
        match=report["match"],
        num_posts=gold["num_posts"],
        scores=scores,
        leaked=tuple(origin["leaked"]),
    )


def make_card(run: RunFiles, name: str, scores: Sequence[SetScore], licence: str | None) -> str:
    """Return the card.

    Args:
        run: The run.
        name: Name of the repository, as ``user/name``.
        scores: Scores on test sets.
        licence: Licence of the weights, by its name on the hub.
    """
    manifest = run.manifest
    adapts = manifest.tuning in {"lora", "qlora"}
    trained = [stamp for stamp in manifest.datasets if stamp.role == "train"]
    data = ModelCardData(
        base_model=run.base,
        datasets=sorted({_set_id(stamp) for stamp in trained}) or None,
        eval_results=list(_results(scores)) or None,
        library_name="peft" if adapts else "transformers",
        license=licence,
        metrics=["f1"] if scores else None,
        model_name=name.rpartition("/")[2],
        pipeline_tag=_TASK,
        tags=["named-entity-recognition", "multimodal", "instruct-mner", manifest.family],
        label_version=sorted({_version(stamp) for stamp in trained}) or None,
        entity_types=list(manifest.answer.labels.names),
    )
    # The name of a folder of this machine says nothing to others.
    text = run.text.replace(manifest.base_model, run.base) if run.base and "/" in manifest.base_model else run.text
    text = _COMMAND.sub(rf"\1 {name} -o predictions.jsonl", text)
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}{_heads(run)}{_lines(scores)}"))


def _results(scores: Sequence[SetScore]) -> Iterator[EvalResult]:
    for each in scores:
        for name, value in each.scores.items():
            yield EvalResult(
                task_type=_TASK,
                task_name=_TASK_NAME,
                dataset_type=_slug(_SPLIT.sub("", each.dataset)),
                dataset_name=each.dataset,
                dataset_split="test",
                dataset_args={"sha256": each.sha256, "decode": each.decode, "posts": each.num_posts},
                metric_type="f1",
                metric_name=name,
                metric_value=round(value, 4),
                metric_args={"match": each.match},
            )


def _heads(run: RunFiles) -> str:
    if run.heads is None:
        return ""
    return (
        f"\n`{run.heads.name}/` holds the heads of the objectives of training: `tag --image-source generated` and "
        "`--attention` can use them, `serve` and plain tagging do not need them.\n"
    )


def _lines(scores: Sequence[SetScore]) -> str:
    if not scores:
        return ""
    rows = ["", "## Scores", "", "| test | sha256 | decoding | score | F1 |", "|---|---|---|---|---|"]
    for each in scores:
        rows += [
            f"| {each.dataset}, {each.num_posts} posts | `{each.sha256[:12]}` | {each.decode}, {each.match} | {name} | "
            f"{100 * value:.2f} |"
            for name, value in each.scores.items()
        ]
    leaks = list(dict.fromkeys(line for each in scores for line in each.leaked))
    rows += ["", *(f"**LEAKED**: {line}" for line in leaks)]
    return "\n".join(rows).rstrip() + "\n"


def _set_id(stamp: DatasetStamp) -> str:
    """Return the name of a set: of one of the hub its own, else that of the published set or of the folder."""
    known = stamp.known or stamp.name
    if stamp.format == "hub":
        return stamp.name.rpartition("/")[0] or stamp.name
    return _slug(_SPLIT.sub("", known) if stamp.known else known.partition("/")[0])


def _version(stamp: DatasetStamp) -> str:
    known = _SPLIT.sub("", stamp.known) if stamp.known else stamp.name.partition("/")[0]
    return f"{known}, train sha256 {stamp.sha256[:12]}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
