"""One file with the scores of all runs of the experiment: ``eval/results/alignment-runs.jsonl.xz``.

A line is ``{"group", "arm", "seed", "scores"}``. A run itself writes one file (:mod:`eval.experiments.aligning.runs`),
because several processes may work in the same folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.experiments.aligning.scores import SCORES, read_scores, write_scores
from eval.experiments.archive_file import read_archive, write_archive

ARCHIVE = Path(__file__).resolve().parents[2] / "results" / "alignment-runs.jsonl.xz"


def pack_runs(folder: Path, archive: Path = ARCHIVE) -> int:
    """Write the scores of all runs in a folder into one file.

    Args:
        folder: Folder that holds ``GROUP/ARM-SEED/scores.json.gz``.
        archive: File to write. It is replaced, so the folder must hold every run that is to be kept.

    Returns:
        Number of runs.
    """
    lines: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"*/*/{SCORES}")):
        arm, _, seed = path.parent.name.rpartition("-")
        run: dict[str, Any] = {
            "group": path.parents[1].name,
            "arm": arm,
            "seed": int(seed),
            "scores": read_scores(path),
        }
        lines.append(run)
    write_archive(archive, lines)
    return len(lines)


def unpack_runs(folder: Path, archive: Path = ARCHIVE) -> int:
    """Write the runs of an archive into a folder, each where the experiment looks for it.

    Args:
        folder: Folder that gets ``GROUP/ARM-SEED/scores.json.gz``. A run that is there already is left alone.
        archive: File that :func:`pack_runs` wrote.

    Returns:
        Number of runs in the archive.
    """
    lines = read_archive(archive)
    for run in lines:
        path = folder / run["group"] / f"{run['arm']}-{run['seed']}" / SCORES
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_scores(path, run["scores"])
    return len(lines)
