"""Main program of ``audit``: recognises a log, and returns what it tells."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

from instruct_mner.audit.findings import Audit
from instruct_mner.audit.own_run import METRICS, audit_metrics, audit_run, manifest_of
from instruct_mner.audit.text_log import audit_text
from instruct_mner.audit.trainer_log import FILES, audit_trainer
from instruct_mner.errors import ConfigError, DataError, shortened
from instruct_mner.files import stream_lines


def audit(path: Path, *, reported: str | None = None) -> Audit:
    """Return the findings on a training log.

    Args:
        path: Text log, file of LLaMA-Factory or of transformers' Trainer, folder with these, or run folder.
        reported: F1 that was reported for this run, in per cent, as it is written (``"85.30"``), to be looked for in a
            text log.

    Raises:
        DataError: It is missing, or no log that is known.
        ConfigError: A reported score is no F1 in per cent, or is given for what is no text log.
    """
    score = None if reported is None else _per_cent(reported)
    files = _audit_files(path)
    if files is not None:
        if reported is not None:
            raise ConfigError(f"{path}: a reported score is looked for in text logs only; leave out --reported")
        return files
    # Bars of progress return to the beginning of their line.
    lines = [part for line in stream_lines(path) for part in line.text.split("\r")]
    return audit_text(str(path), lines, score)


def _per_cent(text: str) -> Decimal:
    if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) or Decimal(text) > 100:
        raise ConfigError(
            f"--reported {shortened(text)}: no F1 in per cent; give a number from 0 to 100, such as 85.33"
        )
    return Decimal(text)


def _audit_files(path: Path) -> Audit | None:
    """Return the findings on files of this program or of the known others; ``None`` for a text log."""
    if path.is_dir():
        return _audit_folder(path)
    if path.name == METRICS:
        return audit_metrics(str(path), path)
    if path.name in FILES:
        # The other files of the run say what this one does not.
        return audit_trainer(str(path), {**_beside(path.parent), path.name: path})
    return None


def _audit_folder(folder: Path) -> Audit:
    if manifest_of(folder) is not None:
        return audit_run(str(folder), folder)
    files = _beside(folder)
    if files:
        return audit_trainer(str(folder), files)
    if (folder / METRICS).is_file():
        return audit_metrics(str(folder), folder / METRICS)
    raise DataError(
        f"{folder}: no log is known here; name a text log, or a folder with mner.json, {METRICS}, {', '.join(FILES)}"
    )


def _beside(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in FILES if (folder / name).is_file()}
