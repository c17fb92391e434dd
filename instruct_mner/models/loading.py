"""Loading of base models, processors and LoRA adapters; safetensors only, no code from the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from huggingface_hub.constants import HF_HUB_DISABLE_PROGRESS_BARS
from huggingface_hub.utils.tqdm import enable_progress_bars
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)
from transformers.utils import logging as transformers_logging

from instruct_mner.errors import ModelError, listing
from instruct_mner.models.description import ModelDescription, load_processor
from instruct_mner.models.families import Family, find_family
from instruct_mner.models.four_bits import four_bits, keep_as_they_are
from instruct_mner.models.hub import WHOLE_MODEL_FILES, commit_of, fetch_model, hub_errors
from instruct_mner.models.locations import locate
from instruct_mner.schema.pixel_limits import PixelLimits

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import Tensor, nn
    from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel
    from transformers.utils import ModelOutput

    from instruct_mner.models.devices import DeviceMap

Dtype = Literal["auto", "bfloat16", "float32"]
NO_IMAGE_TOKEN = -1


class Model(Protocol):
    """A ``ForConditionalGeneration`` or ``ForCausalLM`` of transformers, or a ``PeftModel`` around one."""

    config: PretrainedConfig
    generation_config: GenerationConfig

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""

    @property
    def device(self) -> torch.device:
        """Device of the weights."""

    def eval(self) -> nn.Module:
        """Switch to evaluation mode."""

    def modules(self) -> Iterator[nn.Module]:
        """Iterate over the model and the modules inside."""

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of token embeddings."""

    def get_output_embeddings(self) -> nn.Linear:
        """Return the output layer."""

    def get_submodule(self, target: str) -> nn.Module:
        """Return the module at a dotted path."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Iterate over the weights with their names."""

    def save_pretrained(self, save_directory: Path) -> None:
        """Write the weights into a folder."""

    def generate(self, **inputs: object) -> Tensor:
        """Write answers, ``(batch, tokens)`` with the prompts."""

    def __call__(self, **inputs: object) -> ModelOutput:
        """Run a forward."""


@dataclass(frozen=True, kw_only=True)
class LoadedModel(ModelDescription):
    """A model with its weights.

    Attributes:
        model: Model of transformers, or a ``PeftModel`` around it.
    """

    model: Model

    @property
    def image_token_id(self) -> int:
        """Id of an image token; a processor's own may be that of the placeholder (Gemma 3).

        -1, which is the id of no token, in a text family.
        """
        return int(self.model.config.image_token_id) if self.family.sees else NO_IMAGE_TOKEN

    @property
    def base(self) -> PreTrainedModel:
        """Model of transformers, with the layers of any adapter inside."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def decoder(self) -> PreTrainedModel:
        """Text decoder inside."""
        return self.base.get_submodule(self.family.decoder_path)

    def merged(self) -> LoadedModel:
        """Return the model with its adapter merged into the weights, or itself where it has no adapter.

        Raises:
            ValueError: A merged weight is not finite.
        """
        if not hasattr(self.model, "merge_and_unload"):
            return self
        return replace(self, model=self.model.merge_and_unload(safe_merge=True))

    @property
    def end_tokens(self) -> list[int]:
        """Tokens that end generation: that of the tokenizer, and those of the model's generation config."""
        ends = self.model.generation_config.eos_token_id
        listed = [ends] if isinstance(ends, int) else list(ends or [])
        return list(dict.fromkeys([self.tokenizer.eos_token_id, *listed]))

    @property
    def context_size(self) -> int | None:
        """Number of tokens that prompt and answer may have together; ``None`` where the config gives no limit."""
        size = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return None if size is None else int(size)

    @property
    def vocabulary_size(self) -> int:
        """Number of rows of the token embeddings, which may be more than the tokenizer has tokens."""
        return self.model.get_input_embeddings().num_embeddings


def _dtype(config: Any, dtype: Dtype) -> Any:
    if dtype != "auto":
        return getattr(torch, dtype)
    own = config.dtype or config.get_text_config().dtype
    # Source: float16 overflows in the Qwen families; bfloat16 holds every float16 model.
    return torch.bfloat16 if own == torch.float16 else own or torch.float32


def own_dtype(config: PretrainedConfig) -> str:
    """Return the name of the weight type that ``auto`` chooses for a model."""
    return str(_dtype(config, "auto")).removeprefix("torch.")


def load_model(
    name: str,
    *,
    revision: str | None = None,
    dtype: Dtype = "auto",
    pixels: PixelLimits | None = None,
    quantized: bool = False,
    attention: str | None = None,
    device_map: DeviceMap | None = None,
    moves: bool = True,
) -> LoadedModel:
    """Load a base model or a fully tuned one, with its processor.

    Args:
        name: Hub name or folder, ``starter`` or ``smollm2``.
        revision: Commit, branch or tag on the hub.
        dtype: ``auto`` keeps the model's own, but never float16.
        pixels: Limits on the size of pictures.
        quantized: Hold the decoder's linear layers in 4 bits (NF4), for QLoRA.
        attention: Name of the attention, as transformers has it; by default that of the model.
        device_map: Distribution over several devices, as accelerate takes it; by default one device.
        moves: Whether the model is moved to the GPU; FSDP moves its parts itself.

    Raises:
        ModelError: It is not there, has no safetensors, or is of a family that is not supported.
    """
    transformers_logging.disable_progress_bar()
    if not HF_HUB_DISABLE_PROGRESS_BARS:  # which the line above has disabled too
        enable_progress_bars()
    source = locate(name)
    with hub_errors(name, revision, WHOLE_MODEL_FILES):
        config = AutoConfig.from_pretrained(source, revision=revision)
        family = find_family(config.model_type)
        commit = commit_of(source, revision)
        # All further files are of the commit that the config is of.
        pinned = commit or revision
        fetch_model(source, pinned)
        processor = load_processor(family, source, pinned)
        # transformers takes neither as None where a model has a default of its own.
        wanted = {"attn_implementation": attention, "device_map": device_map}
        further = {name: value for name, value in wanted.items() if value is not None}
        model_class = AutoModelForImageTextToText if family.sees else AutoModelForCausalLM
        try:
            model = model_class.from_pretrained(
                source,
                revision=pinned,
                dtype=_dtype(config, dtype),
                use_safetensors=True,
                quantization_config=four_bits(family, in_parts=not moves) if quantized else None,
                **further,
            )
        except RuntimeError as error:
            if "ignore_mismatched_sizes" not in str(error):
                raise
            raise ModelError(
                f"model {name} cannot be loaded: the shapes of its weights are not those of its config.json; put back "
                "the files as they were published"
            ) from error
    model.get_output_embeddings().register_forward_pre_hook(_contiguous)
    if quantized:
        keep_as_they_are(model)
    if moves and not quantized and device_map is None:  # bitsandbytes has placed its layers already
        model.to("cuda" if torch.cuda.is_available() else "cpu")
    loaded = LoadedModel(model=model, family=family, processor=processor, name=name, revision=commit)
    loaded.limit_pixels(pixels or PixelLimits())
    return loaded


def _contiguous(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Copy the states of last tokens, which transformers slices out of the states of all tokens.

    A linear layer in bfloat16 on a CPU takes what is sliced row by row: 6.7 seconds for 32 posts and a vocabulary of
    49,156, in place of 0.015 (torch 2.13).
    """
    return tuple(states.contiguous() for states in inputs)


def load_adapter(base: LoadedModel, folder: Path) -> LoadedModel:
    """Put a LoRA adapter on a base model.

    Raises:
        ModelError: The folder is not an adapter, or a key of it finds no module. PEFT itself only warns then, and
            the base would answer in the adapter's name.
    """
    from peft import PeftConfig, get_peft_model, load_peft_weights, set_peft_model_state_dict

    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"{folder} is not an adapter: it needs adapter_config.json and adapter_model.safetensors")
    try:
        config = PeftConfig.from_pretrained(folder)
        weights = load_peft_weights(str(folder), device="cpu")
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"adapter {folder} cannot be read ({error}); put back adapter_config.json and adapter_model.safetensors as "
            "'finetune' wrote them"
        ) from error
    config.inference_mode = True
    try:
        model = get_peft_model(base.model, config)
        result = set_peft_model_state_dict(model, weights)
    except (ValueError, RuntimeError, TypeError) as error:
        first = str(error).strip().split("\n")[0]
        raise ModelError(
            f"adapter {folder} does not fit the base model {base.name}: {first}; give its own base"
        ) from error
    missing = [key for key in result.missing_keys if "lora_" in key]
    problems = [f"finds no module: {key}" for key in result.unexpected_keys]
    problems += [f"not in the adapter: {key}" for key in missing]
    if problems:
        raise ModelError(f"adapter {folder} does not fit the base model {base.name}:\n{listing(problems, most=5)}")
    return replace(base, model=model.eval())  # LoRA's dropout is new, and on


def lora_config(family: Family, *, rank: int, alpha: int, dropout: float) -> LoraConfig:
    """Return a LoRA of the decoder's linear layers, without vision tower and projector.

    A pattern on the decoder's real path is used because ``all-linear``, or names such as ``gate_proj`` alone, land
    in the vision tower of some families.
    """
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        bias="none",
        target_modules=family.lora_pattern,
    )


def count_adapted_modules(model: nn.Module, family: Family) -> dict[str, int]:
    """Return the number of modules with a LoRA for each part of the model."""
    parts = {"decoder": family.decoder_path, **{path: path for path in family.vision_paths}}
    counts: Counter[str] = Counter(dict.fromkeys(parts, 0))
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            plain = name.removeprefix("base_model.model.")
            part = next((part for part, path in parts.items() if plain.startswith(path + ".")), "elsewhere")
            counts[part] += 1
    return dict(counts)
