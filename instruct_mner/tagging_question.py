"""How a model is asked: as its manifest says where it was tuned, else for JSON, with or without examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from instruct_mner.answers import AnswerSpec
from instruct_mner.errors import ConfigError
from instruct_mner.manifest import Manifest, PromptStamp
from instruct_mner.models.names import locate
from instruct_mner.prompting.few_shot import has_examples
from instruct_mner.prompting.retrieval import Pool
from instruct_mner.prompting.templates import Prompt, find_prompt
from instruct_mner.schema.boxes import BoxConvention
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example

if TYPE_CHECKING:
    from PIL.Image import Image

    from instruct_mner.engines import Request
    from instruct_mner.models.loading import LoadedModel


@dataclass(frozen=True)
class Question:
    """What an engine is asked on one post, with all that is needed to read the answer.

    Attributes:
        example: The post.
        images: The pictures that the model is shown.
        text: The text as the model is shown it.
        spec: What it is asked for on this post.
        request: The question itself.
    """

    example: Example
    images: tuple[Image, ...]
    text: str
    spec: AnswerSpec
    request: Request


def zero_shot(
    base_model: str,
    *,
    revision: str | None = None,
    family: str = "unknown",
    convention: BoxConvention | None = None,
    prefix: str = "",
    with_examples: bool = False,
) -> tuple[Manifest, Prompt]:
    """Manifest and prompt of a model that was never tuned.

    Args:
        base_model: Its name.
        revision: Its commit on the hub.
        family: A key of ``FAMILIES``; ``unknown`` for a model behind an endpoint.
        convention: How it writes boxes.
        prefix: What its chat template puts before an answer.
        with_examples: Whether it is shown examples.
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
        box_convention=convention.name,
    )
    return manifest, prompt


def untuned(loaded: LoadedModel, *, with_examples: bool) -> tuple[Manifest, Prompt]:
    """Manifest and prompt of a base model in this process."""
    from instruct_mner.models.loading import answer_prefix

    return zero_shot(
        loaded.name,
        revision=loaded.revision,
        family=loaded.family.name,
        convention=loaded.family.box_convention,
        prefix=answer_prefix(loaded.processor),
        with_examples=with_examples,
    )


def tuned(folder: Path, examples: Sequence[Example] | Pool) -> tuple[Manifest, Prompt]:
    """Manifest and prompt of an adapter or of a fully tuned model.

    Raises:
        ConfigError: There are examples, which the tuning did not have.
        ModelError: The folder holds no manifest that can be used.
    """
    if has_examples(examples):
        raise ConfigError(
            f"{folder} was tuned on posts without examples before them, so it is tagged without: leave --examples out"
        )
    return Manifest.load(folder)


def tuned_folder(name: str | Path) -> Path | None:
    """The folder of an adapter or of a fully tuned model, given itself or its run folder, or ``starter``."""
    path = Path(locate(name))
    for folder in (path, path / "adapter", path / "model"):
        if (folder / "mner.json").is_file() or (folder / "adapter_config.json").is_file():
            return folder
    return None


def heads_folder(name: str | Path) -> Path:
    """Where the run folder of a tuned model keeps the heads that tagging has a use for."""
    folder = tuned_folder(name) or Path(name)
    return folder.parent / "alignment" if folder.name in {"adapter", "model"} else folder / "alignment"


def with_context(manifest: Manifest, context: bool | None) -> Manifest:
    """The manifest, with captions, tags and OCR of the pictures switched on or off; ``None`` leaves it."""
    return manifest if context is None else manifest.model_copy(update={"context": context})


def max_answer_tokens(spec: AnswerSpec, text: str, count_tokens: Callable[[str], int]) -> int:
    """Where an answer is cut: the cap of entities, each with label, separators and box, and the text twice.

    Mentions do not overlap, so that all of them together are hardly longer than the text; a model that repeats
    itself is cut, and the cut is counted as malformed.
    """
    written = spec.in_format()
    frame = max(count_tokens(written.frame(name)) for name in spec.labels.names)
    return spec.capacity(text) * frame + 2 * count_tokens(written.spelled(text)) + 8


def checked_labels(spec: AnswerSpec, special_tokens: Sequence[str]) -> AnswerSpec:
    """The spec, unless a label or definition holds a special token of the model.

    Raises:
        ConfigError: One does; it would end the turn or count as a picture.
    """
    for label in spec.labels.each():
        for token in special_tokens:
            if token in label.name or token in (label.definition or ""):
                raise ConfigError(f"label '{label.name}' holds {token!r}, a special token of this model; rename it")
    return spec
