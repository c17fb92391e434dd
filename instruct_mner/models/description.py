"""A model without its weights: family, processor and name, and all that follows from these."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoProcessor, Idefics3Processor

from instruct_mner.errors import ModelError
from instruct_mner.models.chat_template import around_answer, continue_generation_prompt
from instruct_mner.models.families import Family, find_family
from instruct_mner.models.hub import commit_of, file_of, hub_errors
from instruct_mner.models.locations import locate
from instruct_mner.models.manifest import FILE_NAME, Manifest
from instruct_mner.models.pixel_settings import PixelSettings
from instruct_mner.models.text_processor import TextProcessor, steady_template
from instruct_mner.models.turns import turn_at
from instruct_mner.schema.pixel_limits import PixelLimits

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import PreTrainedTokenizerBase, ProcessorMixin


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A model without its weights.

    Attributes:
        family: Family of the model.
        processor: Processor of the model, with its tokenizer.
        name: Hub name or path.
        revision: Commit on the hub; ``None`` for a folder.
    """

    family: Family
    processor: ProcessorMixin
    name: str
    revision: str | None = None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Tokenizer of the processor."""
        return self.processor.tokenizer

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Strings that would break the structure of a prompt if a post held them."""
        return special_tokens(self.processor)

    @property
    def answer_prefix(self) -> str:
        """Text that the chat template puts between its generation prompt and an answer."""
        return around_answer(self.processor)[0]

    @property
    def answer_suffix(self) -> str:
        """Text that the chat template puts after an answer: the end of the turn."""
        return around_answer(self.processor)[1]

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""
        with turn_at(self.tokenizer):
            return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def count_prompt(self, messages: Sequence[Mapping[str, Any]], images: Sequence[Image]) -> int:
        """Return the number of tokens of a prompt, with those of its pictures.

        Args:
            messages: Chat, with a place for each picture.
            images: Pictures, in the order of their places.
        """
        text = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        with turn_at(self.tokenizer):
            inputs = self.processor(text=[text], images=[list(images)] if images else None, add_special_tokens=False)
        return len(inputs["input_ids"][0])

    def count_image_tokens(self, sizes: Sequence[tuple[int, int]]) -> list[int]:
        """Return the number of tokens of pictures of some sizes; 0 where the processor does not say.

        Source: transformers 5, ``ProcessorMixin._get_num_multimodal_tokens``, made for vLLM.

        Args:
            sizes: Width and height of each picture.
        """
        # SmolVLM's processor, which is Idefics3's with other defaults, lacks the function.
        owner = Idefics3Processor if self.family.name == "smolvlm" else type(self.processor)
        count = getattr(owner, "_get_num_multimodal_tokens", None)
        if count is None or not sizes:
            return [0] * len(sizes)
        return list(count(self.processor, image_sizes=[(height, width) for width, height in sizes]).num_image_tokens)

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Return width and height of a picture after the processor's resize, where boxes are written in them."""
        return self.family.resized and self.family.resized(self.processor, size)

    def pixel_settings(self, pixels: PixelLimits) -> PixelSettings:
        """Return the attributes of the image processor that put pixel limits into force."""
        return self.family.pixel_settings(getattr(self.processor, "image_processor", None), pixels)

    def limit_pixels(self, pixels: PixelLimits) -> None:
        """Put pixel limits into force on the processor."""
        for name, value in self.pixel_settings(pixels).items():
            setattr(self.processor.image_processor, name, value)


def describe_model(name: str, *, revision: str | None = None) -> ModelDescription:
    """Read family and processor of a whole model, without its weights.

    Args:
        name: Hub name or folder, ``starter`` or ``smollm2``.
        revision: Commit, branch or tag on the hub.

    Raises:
        ModelError: It is not there, or of a family that is not supported.
    """
    source = locate(name)
    with hub_errors(name, revision, "config.json and the processor's files is needed"):
        config = AutoConfig.from_pretrained(source, revision=revision)
        family = find_family(config.model_type)
        commit = commit_of(source, revision)
        processor = load_processor(family, source, commit or revision)
    return ModelDescription(family=family, processor=processor, name=name, revision=commit)


def family_of(name: str, revision: str | None = None) -> Family:
    """Read the family of a model, without its processor; arguments and errors are those of :func:`describe_model`."""
    with hub_errors(name, revision, "config.json and the processor's files is needed"):
        return find_family(AutoConfig.from_pretrained(locate(name), revision=revision).model_type)


def describe_adapter(folder: Path, manifest: Manifest) -> ModelDescription:
    """Read the processor beside an adapter or a fully tuned model, with the pixel limits of the tuning.

    Args:
        folder: Folder of the adapter or of the model.
        manifest: Manifest in that folder.

    Raises:
        ModelError: The processor's files are not there.
    """
    family = find_family(manifest.family)
    try:
        processor = load_processor(family, folder)
    except (OSError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise ModelError(
            f"{folder} lacks the processor's files that 'finetune' puts beside an adapter: {first}"
        ) from None
    description = ModelDescription(family=family, processor=processor, name=manifest.base_model)
    description.limit_pixels(manifest.pixels)
    return description


def tuned_before(base: ModelDescription) -> Manifest | None:
    """Return the manifest beside a whole model that was tuned before; ``None`` beside others.

    Args:
        base: Model, in a folder or in the hub's cache.

    Raises:
        ModelError: The manifest cannot be used.
    """
    path = file_of(locate(base.name), FILE_NAME, base.revision)
    return None if path is None else Manifest.load(path.parent)[0]


def load_processor(family: Family, source: str | Path, revision: str | None = None) -> ProcessorMixin:
    """Read the processor of a model: its own, or of a text model its tokenizer as a :class:`TextProcessor`."""
    if not family.sees:
        return TextProcessor.from_pretrained(source, revision)
    processor = AutoProcessor.from_pretrained(source, revision=revision)
    if isinstance(processor.chat_template, str):
        processor.chat_template = steady_template(processor.chat_template)
    continue_generation_prompt(processor)
    return processor


@lru_cache(maxsize=8)
def special_tokens(processor: ProcessorMixin) -> tuple[str, ...]:
    """Return what a post must not hold: special tokens, and added tokens that look like markup (``<think>``).

    Added tokens that are plain text, such as runs of spaces, do not change the structure of a prompt.
    """
    markup = re.compile(r"<.+>|\[.+\]")
    tokens = {
        token.content
        for token in processor.tokenizer.added_tokens_decoder.values()
        if token.content.strip() and (token.special or markup.fullmatch(token.content))
    }
    image_token = getattr(processor, "image_token", None)
    return tuple(sorted(tokens if image_token is None else tokens | {image_token}))
