"""The runs of ``smollm2.py`` in one file, from which its tables are made again on a machine that has the data sets.

Texts of posts stay out of it, since those of the published sets are not ours to give: a prediction is its post's id,
its spans with type and confidence, and what was rejected. :func:`unpack_runs` takes the texts from the data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.experiments.archive_file import read_archive, write_archive
from eval.experiments.smollm2_table import PlannedRun, read_posts, read_predictions, split_file
from instruct_mner.files import replacing
from instruct_mner.schema.records import PredictedEntity, Prediction, Rejected

# Of a report, what the tables read; it also names files of the machine.
_KEPT = ("micro", "per_type", "span_only", "rejected", "entities_per_post", "times")
_SPLITS = {"test": ("test",), "bare": ("test",), "dev": ("valid", "dev")}


def archive_of(settings: Path) -> Path:
    """Return the place of the archive of an experiment, by the file of its settings."""
    return Path(__file__).resolve().parents[1] / "results" / f"{settings.stem}-runs.jsonl.xz"


def pack_runs(runs: Sequence[PlannedRun], output: Path, archive: Path) -> int:
    """Write what was tagged into one file; what stands there of other runs stays.

    Args:
        runs: Runs of the settings; those that have no report are left out.
        output: Folder of the runs.
        archive: File to write.

    Returns:
        Number of files with predictions in it.
    """
    there = read_archive(archive) if archive.is_file() else []
    lines = {(each["set"], each["run"], each["split"]): each for each in there}
    for run in runs:
        for split in _SPLITS:
            path = output / run.set / f"{run.stem}.{split}"
            if Path(f"{path}.json").is_file():
                lines[run.set, run.stem, split] = _packed(run, split, path)
    write_archive(archive, lines.values())
    return len(lines)


def unpack_runs(archive: Path, output: Path, data: Path) -> int:
    """Write the runs of an archive as they were left, for the table; a file that is there already is left alone.

    Args:
        archive: File that :func:`pack_runs` wrote.
        output: Folder of the runs.
        data: Folder of the published sets, which have the texts.

    Returns:
        Number of files with predictions.
    """
    lines = read_archive(archive)
    for each in lines:
        path = output / each["set"] / f"{each['run']}.{each['split']}"
        if Path(f"{path}.json").is_file():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = {post.id: post.text for post in read_posts(split_file(data / each["set"], *_SPLITS[each["split"]]))}
        with replacing(Path(f"{path}.jsonl")) as file:
            file.writelines(_prediction(row, texts).model_dump_json() + "\n" for row in each["predictions"])
        with replacing(Path(f"{path}.json")) as file:
            json.dump(each["report"], file)
    return len(lines)


def _packed(run: PlannedRun, split: str, path: Path) -> dict[str, Any]:
    report = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
    kept = {name: report[name] for name in _KEPT} | {"gold": {"num_posts": report["gold"]["num_posts"]}}
    predictions = [
        [
            post.id,
            [[e.start, e.end, e.label, e.score] for e in post.entities],
            list(post.rejected.model_dump().values()),
        ]
        for post in read_predictions(Path(f"{path}.jsonl"))
    ]
    return {"set": run.set, "run": run.stem, "split": split, "report": kept, "predictions": predictions}


def _prediction(row: Sequence[Any], texts: Mapping[str, str]) -> Prediction:
    identifier, spans, rejected = row
    text = texts[identifier]
    entities = [
        PredictedEntity(start=start, end=end, text=text[start:end], label=label, score=score)
        for start, end, label, score in spans
    ]
    counts = dict(zip(Rejected.model_fields, rejected, strict=True))
    return Prediction(id=identifier, text=text, entities=tuple(entities), rejected=Rejected(**counts))
