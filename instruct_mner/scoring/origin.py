"""Origin of a prediction file: the training data of its model, so that a score on these says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instruct_mner.data.dataset import Dataset
from instruct_mner.models.manifest import FILE_NAME, DatasetStamp, Manifest
from instruct_mner.models.weights_hash import weights_hash
from instruct_mner.schema.choices import TaggingImageSource

# Where `finetune` puts the weights, and the manifest beside them.
_WEIGHTS = ("adapter", "model")


@dataclass(frozen=True)
class Origin:
    """Origin of predictions.

    Attributes:
        run: The folder of the run or of its weights, as the user named it.
        datasets: Data sets that the model was trained on, chosen by, and declared to be evaluated on.
        weights: Hash of the weights of the run.
        leaked: Training data that stand in an evaluation set; the gold itself, where it was one of them.
        chose_checkpoint: True where the gold chose the checkpoint, so that its score flatters.
        guarded: True where the gold was declared as an evaluation set of each training, so that leaks were looked for.
        pictures: Pictures that the posts were tagged with, other than their own in some arms of an experiment.
    """

    run: str
    datasets: tuple[DatasetStamp, ...]
    weights: str
    leaked: tuple[str, ...]
    chose_checkpoint: bool
    guarded: bool
    pictures: TaggingImageSource = "own"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "run": self.run,
            "weights": self.weights,
            "leaked": list(self.leaked),
            "chose_checkpoint": self.chose_checkpoint,
            "guarded": self.guarded,
            "pictures": self.pictures,
            "datasets": [stamp.model_dump(mode="json") for stamp in self.datasets],
        }

    def describe(self) -> list[str]:
        """For people, a line each; what leaked is left to the caller, who shows it first."""
        trained = [stamp for stamp in self.datasets if stamp.role == "train"]
        names = ", ".join(f"{stamp.title} ({stamp.num_posts} posts)" for stamp in trained)
        return [f"run {self.run}, trained on {names or 'nothing that it names'}", *self.caveats()]

    def caveats(self) -> list[str]:
        """Return what a reader of the score must know beside leaks, a line each."""
        lines = ["this gold chose the checkpoint: the score flatters"] if self.chose_checkpoint else []
        if self.pictures != "own":
            lines.append(f"the posts were not tagged with their own pictures: {self.pictures}")
        if not self.guarded and not self.leaked:
            lines.append(
                "leaks of this gold into the training data were not looked for: its config (of each training, where it "
                "had several) does not name it"
            )
        return lines


def read_origin(folder: Path, gold: Dataset) -> Origin:
    """Return the content of ``mner.json`` of a run, seen from the gold that it is scored on.

    Raises:
        ModelError: The folder holds no manifest.
    """
    inner = [folder / name for name in _WEIGHTS if (folder / name / FILE_NAME).is_file()]
    weights = folder if (folder / FILE_NAME).is_file() or not inner else inner[0]
    manifest, _ = Manifest.load(weights)
    same = [stamp for stamp in manifest.all_datasets if stamp.is_of(gold)]
    trained = [f"{stamp.title}: the gold itself was trained on" for stamp in same if stamp.role == "train"]
    return Origin(
        run=str(folder),
        datasets=manifest.all_datasets,
        weights=weights_hash(weights, weights_only=True) or "",
        leaked=(*trained, *manifest.leaked),
        chose_checkpoint=any(stamp.role == "dev" for stamp in same),
        guarded=all(
            any(stamp.role == "evaluation" and stamp.is_of(gold) for stamp in training)
            for training in manifest.trainings
        ),
    )
