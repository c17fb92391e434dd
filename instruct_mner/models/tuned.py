"""Manifest and prompt of a model, tuned or not, and the folders of a tuned one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.files import check_place
from instruct_mner.models.locations import tuned_place
from instruct_mner.models.manifest import Manifest, PromptStamp
from instruct_mner.prompting.few_shot import has_examples
from instruct_mner.prompting.retrieval import Pool
from instruct_mner.prompting.templates import Prompt, find_prompt
from instruct_mner.schema.boxes import BoxConvention
from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example

if TYPE_CHECKING:
    from instruct_mner.models.description import ModelDescription

UNKNOWN_FAMILY = "unknown"
"""Family of a model behind an endpoint, of which only its name is known."""


def zero_shot(
    base_model: str,
    *,
    revision: str | None = None,
    family: str = UNKNOWN_FAMILY,
    convention: BoxConvention | None = None,
    prefix: str = "",
    max_images: int = 1,
    with_examples: bool = False,
) -> tuple[Manifest, Prompt]:
    """Return manifest and prompt of a model that was never tuned.

    Args:
        base_model: Name of the model.
        revision: Commit of the model on the hub.
        family: Key of ``FAMILIES``; ``unknown`` for a model behind an endpoint.
        convention: Form of boxes in its answers.
        prefix: Text that its chat template puts before an answer.
        max_images: Largest number of pictures of a post in its prompt.
        with_examples: Whether the prompt has few-shot examples.
    """
    prompt = find_prompt("few-shot" if with_examples else "zero-shot")
    convention = convention or BoxConvention()
    manifest = Manifest(
        base_model=base_model,
        base_revision=revision,
        family=family,
        tuning="none",
        prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        # The labels are a placeholder: `Tagger.labels` says that there are none, and asks for them.
        answer=AnswerSpec(
            format="json", labels=LabelSet.of(["ENTITY"]), prefix=prefix, box_range=convention.answer_range
        ),
        max_images=max_images,
        box_convention=convention.name,
    )
    return manifest, prompt


def untuned(description: ModelDescription, *, with_examples: bool) -> tuple[Manifest, Prompt]:
    """Return manifest and prompt of a base model that is at hand.

    Args:
        description: Model.
        with_examples: Whether the prompt has few-shot examples.
    """
    return zero_shot(
        description.name,
        revision=description.revision,
        family=description.family.name,
        convention=description.family.box_convention,
        prefix=description.answer_prefix,
        max_images=1 if description.family.sees else 0,
        with_examples=with_examples,
    )


def tuned(folder: Path, examples: Sequence[Example] | Pool) -> tuple[Manifest, Prompt]:
    """Return manifest and prompt of an adapter or of a fully tuned model.

    Args:
        folder: Folder of the adapter or model.
        examples: Few-shot examples that the user asks for.

    Raises:
        ConfigError: There are few-shot examples, which the tuning did not have.
        ModelError: The folder holds no manifest that can be used.
    """
    if has_examples(examples):
        raise ConfigError(
            f"{folder} was tuned on posts without examples before them, so it is tagged without: leave --examples out"
        )
    return Manifest.load(folder)


def tuned_folder(name: str | Path, revision: str | None = None) -> Path | None:
    """Return the folder of an adapter or a fully tuned model; ``None`` for a model that was not tuned.

    Args:
        name: Folder of the adapter or model, its run folder, the folder of ``finetune --data … -o`` in which that is
            ``run``, a hub name, from which what was tuned is downloaded, or ``starter``.
        revision: Commit, branch or tag on the hub.

    Raises:
        ModelError: The hub has it, and it cannot be downloaded.
    """
    path = tuned_place(name, revision)
    for folder in (path, path / "adapter", path / "model", path / "run" / "adapter", path / "run" / "model"):
        if (folder / "mner.json").is_file() or (folder / "adapter_config.json").is_file():
            return folder
    return None


def heads_folder(name: str | Path) -> Path:
    """Return the folder of alignment heads beside a tuned model."""
    folder = tuned_folder(name) or Path(name)
    return folder.parent / "alignment" if folder.name in {"adapter", "model"} else folder / "alignment"


def with_context(manifest: Manifest, context: bool | None) -> Manifest:
    """Return the manifest with captions, tags and OCR of the pictures on or off; ``None`` changes nothing."""
    return manifest if context is None else manifest.model_copy(update={"context": context})


def with_segmentation(manifest: Manifest, segmentation: Segmentation | None) -> Manifest:
    """Return the manifest with another segmentation of the text; ``None`` leaves it."""
    if segmentation is None:
        return manifest
    return manifest.model_copy(update={"answer": manifest.answer.model_copy(update={"segmentation": segmentation})})


def check_merge(adapter: Path, output: Path) -> tuple[Path, Manifest, Prompt]:
    """Return folder, manifest and template of an adapter that can be merged into a new folder; needs no weights.

    Raises:
        MnerError: The output exists or cannot be made, or there is no adapter.
    """
    if output.exists():
        raise ConfigError(f"{output} exists; choose another folder or remove it")
    check_place(output)
    folder = adapter / "adapter" if (adapter / "adapter").is_dir() else adapter
    manifest, prompt = Manifest.load(folder)
    if manifest.tuning == "full":
        raise ModelError(f"{folder} is a whole model already: there is nothing to merge")
    return folder, manifest, prompt
