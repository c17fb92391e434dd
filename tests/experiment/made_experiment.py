"""A small experiment whose predictions are made by hand."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.experiment.plan import ExperimentSettings, Plan, PlannedRun, make_plan
from instruct_mner.models.manifest import Manifest, PromptStamp
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.write import synth

ROW = "{0}\tB-PER\nin\tO\n{1}\tB-LOC\n\n"
SPLITS = {
    "train": [("Ann", "Rome"), ("Bo", "Oslo")],
    "valid": [("Ann", "Oslo")],
    "test": [("Al", "Rome"), ("Cy", "Bern"), ("Di", "Lima"), ("Ed", "Kyiv")],
}


def make_splits(folder: Path) -> Path:
    """Write splits of columns."""
    folder.mkdir(parents=True)
    for name, posts in SPLITS.items():
        text = "".join(f"IMGID:{name}{at}\n" + ROW.format(*post) for at, post in enumerate(posts))
        (folder / f"{name}.txt").write_text(text)
    return folder


def plan_of(folder: Path, arms: Sequence[str], *, seeds: int = 2, **more: object) -> Plan:
    """Plan an experiment on these splits."""
    data = folder / "data"
    if not data.is_dir():
        make_splits(data)
    values = {"data": str(data), "model": "starter", "output": folder / "out", "missing_image": "text", **more}
    return make_plan(ExperimentSettings(arms=tuple(arms), num_seeds=seeds, **values))  # type: ignore[arg-type]


def write_run(run: PlannedRun, num_right: int) -> None:
    """Write predictions with so many right entities in each post, and the manifest of the run."""
    lines = []
    for at, (person, place) in enumerate(SPLITS["test"]):
        text = f"{person} in {place}"
        gold = [(0, len(person), "PER"), (text.index(place), len(text), "LOC")]
        entities = [
            {"start": start, "end": end, "text": text[start:end], "label": label, "score": 0.9}
            for start, end, label in gold[: num_right if at else 1]
        ]
        lines.append(json.dumps({"id": f"test{at}", "text": text, "entities": entities}) + "\n")
    run.predictions.parent.mkdir(parents=True, exist_ok=True)
    run.predictions.write_text("".join(lines))
    prompt = find_prompt("tag")
    manifest = Manifest(
        base_model="starter",
        family="idefics3",
        tuning="lora",
        prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        answer=AnswerSpec(labels=LabelSet.of(["LOC", "PER"])),
    )
    (run.folder / "adapter").mkdir(parents=True, exist_ok=True)
    manifest.save(run.folder / "adapter", prompt)


@contextmanager
def killed_at_checkpoint(run: str, command: Sequence[str], folder: Path, *, num_test: int) -> Iterator[Path]:
    """Start an experiment on synthetic posts, wait for a checkpoint of a run, and kill it after the block.

    Args:
        run: Name of the run in whose middle the block begins.
        command: Command of the experiment, on ``data`` and with the output ``out`` of the folder.
        folder: Folder of both.
        num_test: Number of posts in test.
    """
    for split, num in (("train", 16), ("dev", 4), ("test", num_test)):
        synth(folder / "data", Synthesis(split=split), num, seed=0)  # type: ignore[arg-type]
    out = folder / "out"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        while not list(out.glob(f"{run}/checkpoints/checkpoint-*/complete")):
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield out
        process.send_signal(signal.SIGKILL)
        process.wait()
