"""Model card for the hub: the text that ``finetune`` wrote, under metadata that the hub indexes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from pydantic import Field

from instruct_mner.errors import ConfigError
from instruct_mner.files import read_text
from instruct_mner.models.manifest import DatasetStamp
from instruct_mner.publishing.run_files import RunFiles
from instruct_mner.schema.record import Record
from instruct_mner.scoring.origin import Origin

_TASK, _TASK_NAME = "token-classification", "Multimodal named entity recognition"
_COMMAND = re.compile(r"(instruct-mner tag posts\.jsonl --(?:adapter|model)) .* -o predictions\.jsonl")
_SPLIT = re.compile(r", (train|dev|test)(, strict)?$")
_SCORE_AGAIN = "score the predictions of this run with 'instruct-mner evaluate GOLD PRED --json --run RUN'"


class SetScore(Record):
    """Scores of a run on one set, as ``evaluate --json --run`` writes them.

    Attributes:
        dataset: Name of the set with the version of its labels.
        sha256: Hash of the file.
        decode: Decoding of BIO tags.
        match: Rule by which an entity is right.
        num_posts: Number of posts.
        scores: Name and value of each score, in 0..1.
        origin: Run, seen from the set.
    """

    dataset: str
    sha256: str
    decode: str
    match: str
    num_posts: int
    scores: dict[str, Annotated[float, Field(ge=0, le=1)]]
    origin: Origin

    @property
    def split(self) -> str | None:
        """Split of the set, as the hub names it: by its use in the run, else by the published set that it is."""
        named = _SPLIT.search(self.dataset)
        if self.origin.chose_checkpoint or (named is not None and named[1] == "dev"):
            return "validation"
        if named is not None:
            return named[1]
        return "test" if self.origin.guarded else None

    def notes(self) -> list[str]:
        """Return what a reader of the scores must know, as lines of Markdown."""
        return [
            *(f"**LEAKED**: {line}" for line in self.origin.leaked),
            *(f"**NOTE**: {self.dataset}: {line}" for line in self.origin.caveats()),
        ]


def read_score(path: Path, weights: str) -> SetScore:
    """Read a report, and check that it is one of this run.

    Args:
        path: File that ``evaluate --json --run RUN`` printed, or one of an experiment.
        weights: Hash of the weights of the run.

    Raises:
        ConfigError: It is not such a report, or one of another run, or of posts without their own pictures.
    """
    try:
        report = json.loads(read_text(path))
        gold, scores = report["gold"], {"micro F1": report["micro"]["f1"], "span F1": report["span_only"]["f1"]}
        if report["triples"]:
            scores["GMNER F1"] = report["triples"]["gmner"]["f1"]
        score = SetScore(
            dataset=gold["known"] or gold["name"],
            sha256=gold["sha256"],
            decode=gold["decode"],
            match=report["match"],
            num_posts=gold["num_posts"],
            scores=scores,
            origin=report["origin"],
        )
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: not the report of one run, as this version writes it; {_SCORE_AGAIN}") from None
    if score.origin.weights != weights:
        raise ConfigError(f"{path}: is of a run with other weights, {score.origin.run}; {_SCORE_AGAIN}")
    if score.origin.pictures != "own":
        raise ConfigError(
            f"{path}: the posts were not tagged with their own pictures ({score.origin.pictures}); give the report of "
            "the arm whose run this is"
        )
    return score


def make_card(run: RunFiles, name: str, scores: Sequence[SetScore], licence: str | None) -> str:
    """Return the card.

    Args:
        run: The run.
        name: Name of the repository, as ``user/name``.
        scores: Scores of the run.
        licence: Licence of the weights, by its name on the hub.
    """
    manifest = run.manifest
    adapts = manifest.tuning in {"lora", "qlora"}
    trained = [stamp for stamp in manifest.all_datasets if stamp.role == "train"]
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
    text = run.text
    if run.base not in {None, manifest.base_model} and "/" in manifest.base_model:
        text = text.replace(f" at revision `{manifest.base_revision}`", "").replace(manifest.base_model, run.base)
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
                dataset_split=each.split,
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
    rows = ["", "## Scores", "", "| set | sha256 | decoding | score | F1 |", "|---|---|---|---|---|"]
    for each in scores:
        rows += [
            f"| {each.dataset}, {each.num_posts} posts | `{each.sha256[:12]}` | {each.decode}, {each.match} | {name} | "
            f"{100 * value:.2f} |"
            for name, value in each.scores.items()
        ]
    # A paragraph each.
    rows += [line for note in dict.fromkeys(note for each in scores for note in each.notes()) for line in ("", note)]
    return "\n".join(rows) + "\n"


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
