"""``mner.json``: the settings of a tuning, beside its weights, so that nobody repeats them.

The prompt template lies beside it as ``prompt.jinja``, so that a tuned model needs nothing but its folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, ValidationError

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import ModelError, listing
from instruct_mner.files import read_text, replacing
from instruct_mner.prompting.templates import Prompt
from instruct_mner.schema.pixel_limits import PixelLimits
from instruct_mner.schema.record import Record
from instruct_mner.schema.validation_messages import reasons

if TYPE_CHECKING:
    from instruct_mner.data.dataset import Dataset

FILE_NAME = "mner.json"
PROMPT_FILE_NAME = "prompt.jinja"

_LIBRARIES = ("instruct-mner", "torch", "transformers", "trl", "peft", "llguidance")


class PromptStamp(Record):
    """Name of a prompt template, and hash of its text.

    Attributes:
        name: Name with version.
        sha256: Hash of the text.
    """

    name: str
    sha256: str


class DatasetStamp(Record):
    """Identity of a data set by hash, which distinguishes two sets of one name.

    Attributes:
        role: Use in the run: ``train``; ``dev`` chose the checkpoint; ``evaluation`` was checked for leaks.
        name: Folder and split.
        format: Name of its reader.
        sha256: ``Dataset.sha256``.
        num_posts: Number of posts that were used.
        known: Name of the published set with this content.
        file_sha256: Hash of the file alone, where ``sha256`` covers more.
        content_sha256: ``Dataset.content_sha256``, the same in every format; absent in old files.
        text_sha256: ``Dataset.text_sha256``.
        num_dropped: Number of posts that were left out because they are in an evaluation set.
    """

    role: Literal["train", "dev", "evaluation"]
    name: str
    format: str
    sha256: str
    num_posts: int
    known: str | None = None
    file_sha256: str | None = None
    content_sha256: str | None = None
    text_sha256: str | None = None
    num_dropped: int = 0

    @property
    def title(self) -> str:
        """Name of the published set, or else folder and split."""
        return self.known or self.name

    def is_of(self, other: Dataset | DatasetStamp) -> bool:
        """Return true for the same posts: with boxes or without, in any format, by either column of labels.

        Args:
            other: Data set, or its stamp.
        """
        return not _hashes(self).isdisjoint(_hashes(other))


class Calibration(Record):
    """Calibration of confidences, and the posts on which it was fitted.

    Attributes:
        temperature: Divisor of the logit of a score; see :class:`~instruct_mner.scoring.calibration.Scaling`.
        shift: Number that is then added to the logit.
        engine: Engine that gave the log-probabilities; those of a server may be of another kind.
        dataset: Folder and split of the posts.
        sha256: ``Dataset.sha256`` of these posts.
        num_entities: Number of predicted entities in the fit.
    """

    temperature: float = Field(gt=0, allow_inf_nan=False)
    shift: float = Field(default=0.0, allow_inf_nan=False)
    engine: str = "transformers"
    dataset: str
    sha256: str
    num_entities: int = Field(ge=1)


class Manifest(Record):
    """Settings of a tuning that tagging and serving must repeat.

    Attributes:
        base_model: Hub name or path of the base.
        base_revision: Commit of the base on the hub; ``None`` for a folder.
        family: Key of ``FAMILIES``.
        tuning: Kind of tuning; ``none`` for a base that was not tuned.
        prompt: Prompt template.
        answer: Format, labels with their definitions, box range, segmentation, cap.
        pixels: Limits of the processor.
        max_images: Largest number of pictures of a post that the model sees; further ones are left out.
        context: Whether captions, tags and OCR of the pictures are part of the prompt.
        box_convention: ``relative`` or ``absolute`` coordinates in answers.
        calibration: Calibration of its confidences; ``None`` = they are not calibrated.
        versions: Versions of the libraries that trained it.
        seed: Seed of the run.
        datasets: Data sets of training, choice of the checkpoint, and declared evaluation.
        earlier: The same of each training before this one: of the base, and of the adapter that was reinforced.
        leaked: Leaks from evaluation sets into the training data, a line for each pair of sets; also of these.
        reinforced_from: Hash of the weights of the adapter that ``reinforce`` went on from; ``None`` without it.
    """

    format_version: Literal[1] = 1
    base_model: str
    base_revision: str | None = None
    family: str
    tuning: Literal["none", "lora", "qlora", "full"]
    prompt: PromptStamp
    answer: AnswerSpec
    pixels: PixelLimits = PixelLimits()
    max_images: int = Field(default=1, ge=0)
    context: bool = False
    box_convention: Literal["relative", "absolute"] = "relative"
    calibration: Calibration | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    seed: int | None = None
    datasets: tuple[DatasetStamp, ...] = ()
    earlier: tuple[tuple[DatasetStamp, ...], ...] = ()
    leaked: tuple[str, ...] = ()
    reinforced_from: str | None = None

    @property
    def trainings(self) -> tuple[tuple[DatasetStamp, ...], ...]:
        """Data sets of each training that these weights went through, the last one first."""
        return (self.datasets, *self.earlier)

    @property
    def all_datasets(self) -> tuple[DatasetStamp, ...]:
        """Data sets of all trainings, each once."""
        return tuple(dict.fromkeys(stamp for training in self.trainings for stamp in training))

    def after(self, before: Manifest | None) -> Self:
        """Return the manifest of weights that were made from others, with the data that those have seen.

        Args:
            before: Manifest of the others; ``None`` where they were not tuned.
        """
        if before is None:
            return self
        trainings = dict.fromkeys([*self.earlier, *before.trainings])
        earlier = tuple(each for each in trainings if each and each != self.datasets)
        leaked = tuple(dict.fromkeys([*self.leaked, *before.leaked]))
        return self.model_copy(update={"earlier": earlier, "leaked": leaked})

    def save(self, folder: Path, prompt: Prompt) -> None:
        """Write ``mner.json`` and ``prompt.jinja`` into a folder."""
        with replacing(folder / PROMPT_FILE_NAME) as file:
            file.write(prompt.source)
        with replacing(folder / FILE_NAME) as file:
            file.write(json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")

    def base_at(self, place: str | None = None) -> tuple[str, str | None]:
        """Return name and commit of the base to load.

        Args:
            place: Hub name or folder where the base lies now; ``None`` where it lies under its name. Of another place
                no commit is known.
        """
        if place in {None, self.base_model}:
            return self.base_model, self.base_revision
        assert place is not None
        return place, None

    def check_base(self, family: str, name: str) -> None:
        """Refuse a base of another family than the adapter's own.

        Args:
            family: Family of the base.
            name: Name of the base.

        Raises:
            ModelError: The families differ.
        """
        if family != self.family:
            raise ModelError(
                f"{name} is of the family {family}, the adapter was tuned on {self.base_model}, of the family "
                f"{self.family}; give its own base"
            )

    @classmethod
    def load(cls, folder: Path) -> tuple[Self, Prompt]:
        """Read the manifest and the prompt template of a folder.

        Raises:
            ModelError: A file is missing or wrong, or the template is not the one that was trained with.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise ModelError(
                f"{folder} has no {FILE_NAME}: it was not made by 'instruct-mner finetune'; without it, prompt, labels "
                "and answer format of this model are not known"
            )
        try:
            manifest = cls.model_validate_json(read_text(path))
        except ValidationError as error:
            raise ModelError(
                f"{path} is not a manifest of this version; put back the file that 'finetune' wrote:\n"
                f"{listing(reasons(error, cls))}"
            ) from None
        source = folder / PROMPT_FILE_NAME
        if not source.is_file():
            raise ModelError(
                f"{folder} has no {PROMPT_FILE_NAME}, the prompt template that {FILE_NAME} speaks of; put it back"
            )
        prompt = Prompt(name=manifest.prompt.name, source=read_text(source))
        if prompt.sha256 != manifest.prompt.sha256:
            raise ModelError(
                f"{source} was changed after training: its hash is {prompt.sha256[:12]}…, {FILE_NAME} says "
                f"{manifest.prompt.sha256[:12]}…; put the original template back"
            )
        return manifest, prompt


def _hashes(of: Dataset | DatasetStamp) -> set[str]:
    hashes = (of.sha256, of.file_sha256, of.content_sha256, of.text_sha256)
    return {each for each in hashes if each is not None}


def library_versions(names: Iterable[str] = _LIBRARIES) -> dict[str, str]:
    """Return the versions of the installed libraries, without absent ones."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
