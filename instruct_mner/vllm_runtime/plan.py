"""Plan of what is served, checked before the minutes that a start of vLLM takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.models.chat_template import question_prompt
from instruct_mner.models.description import ModelDescription, describe_adapter, describe_model
from instruct_mner.models.loading import own_dtype
from instruct_mner.models.locations import adapter_place, locate
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.pixel_settings import PixelSettings
from instruct_mner.models.text_processor import TextProcessor, leaves_thoughts_out
from instruct_mner.models.tuned import tuned_folder, untuned
from instruct_mner.prompting.templates import Prompt
from instruct_mner.vllm_runtime.adapter_checks import adapter_rank

_NAME = re.compile(r"[\w.-]+")
# Source: vLLM applies an adapter of such a name to every request that has a picture (LoRAConfig.default_mm_loras).
_RESERVED = ("image", "video", "audio")


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
    """Read and checks what is to be served.

    Args:
        named: Adapters or one fully tuned model, each a folder or ``NAME=FOLDER``; of adapters the hub name too.
        model: A base model to serve as it is; beside adapters, where their base lies now.
        dtype: Type of the weights; ``auto`` keeps the model's own, but never float16.

    Raises:
        ConfigError: The names are no names, or what is named does not go together.
        ModelError: vLLM could not load it, or would serve the base in its name.
    """
    tuned = [_tuned(each) for each in named]
    if not tuned:
        if model is None:
            raise ConfigError("give an adapter (a run folder of 'finetune'), or --model with a base model")
        return _whole_model(model, None, dtype)
    full = [name for name, _, manifest, _ in tuned if manifest.tuning == "full"]
    if full:
        if len(tuned) > 1 or model is not None:
            raise ConfigError(f"'{full[0]}' is a whole model: it is served alone, without --model and other adapters")
        name, folder, _, _ = tuned[0]
        return _whole_model(str(folder), name, dtype)
    base, revision = _common_base([(manifest, name) for name, _, manifest, _ in tuned], model)
    _common([(manifest.pixels.model_dump_json(), name) for name, _, manifest, _ in tuned], "pixel limits")
    whole = _whole_model(base, None, dtype, revision)
    adapters = []
    for name, folder, manifest, prompt in tuned:
        manifest.check_base(whole.whole.description.family.name, base)
        rank = adapter_rank(folder, whole.whole.description.family, _config(base, whole.revision))
        description = describe_adapter(folder, manifest)
        _check_template(name, description, whole.whole.description)
        adapters.append(Served(name, manifest, prompt, description, folder, rank))
    _check_names([*(adapter.name for adapter in adapters), whole.whole.name])
    return Plan(whole.base, whole.revision, whole.dtype, (*adapters, whole.whole), whole.tied)


def _tuned(named: str) -> tuple[str, Path, Manifest, Prompt]:
    """Name, folder, manifest and prompt of ``FOLDER``, ``NAME=FOLDER``, or a hub name in place of the folder."""
    before, separator, after = named.partition("=")
    given = bool(separator) and not Path(named).exists()
    path = after if given else named
    place = adapter_place(path)
    folder = tuned_folder(path if place == Path(path) else place)
    if folder is None:
        why = "holds no adapter" if Path(path).is_dir() else "there is no such folder"
        raise ModelError(f"{path}: {why}; name the run folder that 'finetune' made (a base model: --model)")
    # "adapter" and "model" are what a run folder calls what it holds.
    absolute = folder.resolve()
    own = absolute.parent.name if absolute.name in {"adapter", "model"} else absolute.name
    if place != Path(path):  # of the hub, where the folder's name is a commit
        own = path.partition("@")[0].rpartition("/")[2]
    name = before if given else re.sub(r"[^\w.-]+", "-", own)
    if not _NAME.fullmatch(name) or name in _RESERVED:
        why = "vLLM takes it for a kind of input" if name in _RESERVED else "use letters, digits, '.', '_' and '-'"
        raise ConfigError(f"an adapter cannot be named '{name}' ({why}); write NAME={path}")
    return name, absolute, *Manifest.load(folder)


def _common_base(manifests: Sequence[tuple[Manifest, str]], place: str | None) -> tuple[str, str | None]:
    """Return name and commit of the base of all adapters, which may lie in another place now."""
    if place is None:
        _common([(manifest.base_model, name) for manifest, name in manifests], "base models")
    own = {manifest.base_model: manifest for manifest, _ in reversed(manifests)}
    for base in own:
        commits = [(str(each.base_revision), name) for each, name in manifests if each.base_model == base]
        _common(commits, f"commits of {base}")
    return own.get(place or "", manifests[0][0]).base_at(place)


def _common(values: Sequence[tuple[str, str]], what: str) -> str:
    first, name = values[0]
    for value, other in values:
        if value != first:
            raise ConfigError(
                f"'{name}' and '{other}' have different {what} ({first} and {value}): one vLLM serves one; start "
                "a server for each"
            )
    return first


def _check_template(name: str, adapter: ModelDescription, base: ModelDescription) -> None:
    """Refuse an adapter whose prompts vLLM would write otherwise, with the chat template of the base."""
    if question_prompt(adapter.processor) != question_prompt(base.processor):
        raise ConfigError(
            f"'{name}' was tuned with another chat template than that of {base.name}; serve it on the base that it was "
            "tuned on (--model), or merge it ('instruct-mner merge') and serve the merged model"
        )


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two models are named '{name}': give one another name, NAME=FOLDER")


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
