"""Plan of what is served, checked before the minutes that a start of vLLM takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.models.chat_template import question_prompt
from instruct_mner.models.description import ModelDescription, describe_adapter, describe_model
from instruct_mner.models.loading import own_dtype
from instruct_mner.models.locations import locate
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.pixel_settings import PixelSettings
from instruct_mner.models.text_processor import TextProcessor, leaves_thoughts_out
from instruct_mner.models.tuned import tuned_folder, untuned
from instruct_mner.prompting.templates import Prompt
from instruct_mner.vllm_runtime.adapter_checks import adapter_rank
from instruct_mner.vllm_runtime.named import Named, check_names, common_base, read_named


@dataclass(frozen=True)
class Served:
    """A model as clients name it, with all that is needed to ask it.

    Attributes:
        name: Name of the model.
        manifest: Manifest of the model: prompt, labels, answers.
        prompt: The template that the manifest speaks of.
        description: The model without its weights.
        folder: The adapter; ``None`` for a whole model.
        rank: Rank of the adapter.
    """

    name: str
    manifest: Manifest
    prompt: Prompt
    description: ModelDescription
    folder: Path | None = None
    rank: int = 0


@dataclass(frozen=True)
class Plan:
    """All that one vLLM serves: a whole model, and adapters on it.

    Attributes:
        base: Hub name or folder of the whole model, for vLLM.
        revision: Commit of the base on the hub.
        dtype: Type of its weights, as vLLM calls it.
        models: The adapters, and last the whole model itself.
        tied: True where its output layer is that of its embeddings, though the config of its text says no.
    """

    base: str
    revision: str | None
    dtype: str
    models: tuple[Served, ...]
    tied: bool = False

    @property
    def adapters(self) -> tuple[Served, ...]:
        """Those of the models that are adapters."""
        return tuple(model for model in self.models if model.folder is not None)

    @property
    def whole(self) -> Served:
        """The one that is none."""
        return self.models[-1]

    @property
    def sees(self) -> bool:
        """True where the model is given pictures."""
        return self.whole.description.family.sees

    @property
    def chat_template(self) -> str | None:
        """Chat template, where prompts of the one that vLLM would read in the model's folder are others."""
        processor = self.whole.description.processor
        template = processor.chat_template
        if isinstance(processor, TextProcessor):
            return template if processor.changed else None
        # Of models with pictures, only the place for thoughts and the last answer are changed.
        return template if isinstance(template, str) and leaves_thoughts_out(template) else None

    @property
    def max_images(self) -> int:
        """Most pictures of a request; none where the model reads text only."""
        return max(1, *(model.manifest.max_images for model in self.models)) if self.sees else 0

    @property
    def pixel_settings(self) -> PixelSettings:
        """Pixel limits, as the model's image processor calls them."""
        chosen = self.models[0]
        return chosen.description.pixel_settings(chosen.manifest.pixels)


def make_plan(named: Sequence[str], model: str | None = None, dtype: str = "auto") -> Plan:
    """Read and check what is to be served.

    Args:
        named: Adapters or one fully tuned model, each a folder or ``NAME=FOLDER``; of adapters the hub name too.
        model: A base model to serve as it is; beside adapters, where their base lies now.
        dtype: Type of the weights; ``auto`` keeps the model's own, but never float16.

    Raises:
        ConfigError: The names are no names, or what is named does not go together.
        ModelError: vLLM could not load it, or would serve the base in its name.
    """
    return plan_of(read_named(named, model), model, dtype)


def plan_of(tuned: Sequence[Named], model: str | None, dtype: str) -> Plan:
    """Check what was read of what is to be served; arguments and errors are those of :func:`make_plan`."""
    if not tuned:
        return _whole_model(str(model), None, dtype)
    if tuned[0].manifest.tuning == "full":
        return _whole_model(str(tuned[0].folder), tuned[0].name, dtype)
    base, revision = common_base(tuned, model)
    whole = _whole_model(base, None, dtype, revision)
    adapters = []
    for each in tuned:
        each.manifest.check_base(whole.whole.description.family.name, base)
        rank = adapter_rank(each.folder, whole.whole.description.family, _config(base, whole.revision))
        description = describe_adapter(each.folder, each.manifest)
        _check_template(each.name, description, whole.whole.description)
        adapters.append(Served(each.name, each.manifest, each.prompt, description, each.folder, rank))
    check_names([*(adapter.name for adapter in adapters), whole.whole.name])
    return Plan(whole.base, whole.revision, whole.dtype, (*adapters, whole.whole), whole.tied)


def _check_template(name: str, adapter: ModelDescription, base: ModelDescription) -> None:
    """Refuse an adapter whose prompts vLLM would write otherwise, with the chat template of the base."""
    if question_prompt(adapter.processor) != question_prompt(base.processor):
        raise ConfigError(
            f"'{name}' was tuned with another chat template than that of {base.name}; serve it on the base that it was "
            "tuned on (--model), or merge it ('instruct-mner merge') and serve the merged model"
        )


def _config(name: str, revision: str | None) -> Any:
    try:
        return AutoConfig.from_pretrained(locate(name), revision=revision)
    except (OSError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise ModelError(
            f"base model {name} is not there ({first}); give its hub name or folder with --model"
        ) from None


def _whole_model(name: str, display_name: str | None, dtype: str, revision: str | None = None) -> Plan:
    """Return a base model, or a fully tuned one."""
    config, source = _config(name, revision), locate(name)
    folder = tuned_folder(name, revision)
    if folder is not None:
        manifest, prompt = Manifest.load(folder)
        description = describe_adapter(folder, manifest)
    else:
        description = describe_model(name, revision=revision)
        manifest, prompt = untuned(description, with_examples=False)
    # A folder's path is nothing to tell strangers.
    called = display_name or (Path(name).resolve().name if Path(name).is_dir() else name)
    chosen = own_dtype(config) if dtype == "auto" else dtype
    whole = Served(called, manifest, prompt, description)
    return Plan(source, revision, chosen, (whole,), _is_tied(config))


def _is_tied(config: Any) -> bool:
    text = config.get_text_config()
    return bool(getattr(config, "tie_word_embeddings", False)) and getattr(text, "tie_word_embeddings", None) is False
