"""Loads base models, processors and LoRA adapters; safetensors only, no code from the hub."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from instruct_mner.errors import ConfigError, ModelError, listing
from instruct_mner.models.families import Family, find_family
from instruct_mner.models.locations import locate
from instruct_mner.schema.pixel_limits import PixelLimits

if TYPE_CHECKING:
    from instruct_mner.models.manifest import Manifest

Dtype = Literal["auto", "bfloat16", "float32"]


@dataclass(frozen=True)
class LoadedModel:
    """A model with all that is needed to run it.

    Attributes:
        model: The ``ForConditionalGeneration``, or a ``PeftModel`` around it.
        processor: Its processor.
        family: What is particular to it.
        name: Hub name or path.
        revision: Commit on the hub, where it came from there.
    """

    model: Any
    processor: Any
    family: Family
    name: str
    revision: str | None = None

    @property
    def image_token_id(self) -> int:
        """The id of an image token; a processor's own may be that of the placeholder (Gemma 3)."""
        return int(self.model.config.image_token_id)

    @property
    def base(self) -> Any:
        """The ``ForConditionalGeneration``, with any adapter's layers inside."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def decoder(self) -> Any:
        """The text decoder inside."""
        return self.base.get_submodule(self.family.decoder_path)

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Width and height of a picture after the processor's resize, where boxes are written in them."""
        return self.family.resized and self.family.resized(self.processor, size)

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Strings that would break the structure of a prompt if a post held them."""
        return special_tokens(self.processor)


def _dtype(config: Any, dtype: Dtype) -> Any:
    import torch

    if dtype != "auto":
        return getattr(torch, dtype)
    own = config.dtype or config.get_text_config().dtype
    # Source: float16 overflows in the Qwen families; bfloat16 holds every float16 model.
    return torch.bfloat16 if own == torch.float16 else own or torch.float32


def own_dtype(config: Any) -> str:
    """The name of the type of a model's weights, as ``auto`` takes it."""
    return str(_dtype(config, "auto")).removeprefix("torch.")


def load_model(
    name: str,
    *,
    revision: str | None = None,
    dtype: Dtype = "auto",
    pixels: PixelLimits | None = None,
    quantized: bool = False,
) -> LoadedModel:
    """Loads a base model or a fully tuned one, with its processor.

    Args:
        name: Hub name or folder, or ``starter``.
        revision: Commit, branch or tag on the hub.
        dtype: ``auto`` keeps the model's own, but never float16.
        pixels: Limits on the size of pictures.
        quantized: Hold the decoder's linear layers in 4 bits (NF4), for QLoRA.

    Raises:
        ModelError: It is not there, has no safetensors, or is of a family that is not supported.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    source = locate(name)
    try:
        config = AutoConfig.from_pretrained(source, revision=revision)
        family = find_family(config.model_type)
        processor = AutoProcessor.from_pretrained(source, revision=revision)
        model = AutoModelForImageTextToText.from_pretrained(
            source,
            revision=revision,
            dtype=_dtype(config, dtype),
            use_safetensors=True,
            quantization_config=_nf4(family) if quantized else None,
        )
    except (OSError, ValueError, SafetensorError) as error:
        first = str(error).strip().split("\n")[0]
        raise ModelError(
            f"model {name} cannot be loaded: {first} (a hub name or a folder with config.json, the processor's "
            "files and *.safetensors is needed)"
        ) from error
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        raise ModelError(
            f"model {name} cannot be loaded: the shapes of its weights are not those of its config.json; put back the "
            "files as they were published"
        ) from error
    limit_pixels(processor, family, pixels or PixelLimits())
    if not quantized:  # bitsandbytes has placed its layers already
        model.to("cuda" if torch.cuda.is_available() else "cpu")
    return LoadedModel(model, processor, family, name, getattr(config, "_commit_hash", None))


def describe_model(name: str) -> LoadedModel:
    """Family and processor of a base model, without its weights.

    Raises:
        ModelError: It is not there, or of a family that is not supported.
    """
    from transformers import AutoConfig, AutoProcessor

    source = locate(name)
    try:
        config = AutoConfig.from_pretrained(source)
        family = find_family(config.model_type)
        processor = AutoProcessor.from_pretrained(source)
    except (OSError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise ModelError(
            f"model {name} cannot be loaded: {first} (a hub name or a folder with config.json and the processor's "
            "files is needed)"
        ) from error
    return LoadedModel(None, processor, family, name, getattr(config, "_commit_hash", None))


def _nf4(family: Family) -> Any:
    """The 4-bit form of the QLoRA paper; vision tower, projector and output embedding stay as they are.

    Source: arXiv:2305.14314, section 3.
    """
    import torch
    from transformers import BitsAndBytesConfig
    from transformers.utils import is_bitsandbytes_available

    if not is_bitsandbytes_available():
        raise ConfigError("tuning: qlora needs bitsandbytes: pip install 'instruct-mner[qlora]'")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=["lm_head", *family.vision_paths],
    )


def limit_pixels(processor: Any, family: Family, pixels: PixelLimits) -> None:
    """Puts pixel limits into force on a processor."""
    for name, value in family.pixel_settings(processor.image_processor, pixels).items():
        setattr(processor.image_processor, name, value)


def load_adapter(base: LoadedModel, folder: Path) -> LoadedModel:
    """Puts a LoRA adapter on a base model.

    Raises:
        ModelError: The folder is not an adapter, or a key of it finds no module. PEFT itself only warns then, and
            the base would answer in the adapter's name.
    """
    from peft import PeftConfig, get_peft_model, load_peft_weights, set_peft_model_state_dict
    from safetensors import SafetensorError

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
    return LoadedModel(model, base.processor, base.family, base.name, base.revision)


def lora_config(family: Family, *, rank: int, alpha: int, dropout: float) -> Any:
    """A LoRA of the decoder's linear layers; vision tower and projector stay as they are.

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


def count_adapted_modules(model: Any, family: Family) -> dict[str, int]:
    """How many modules carry a LoRA, for each part of the model."""
    parts = {"decoder": family.decoder_path, **{path: path for path in family.vision_paths}}
    counts: Counter[str] = Counter(dict.fromkeys(parts, 0))
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            plain = name.removeprefix("base_model.model.")
            part = next((part for part, path in parts.items() if plain.startswith(path + ".")), "elsewhere")
            counts[part] += 1
    return dict(counts)


@lru_cache(maxsize=8)
def special_tokens(processor: Any) -> tuple[str, ...]:
    """What a post must not hold: special tokens, and added tokens that look like markup (``<think>``).

    Added tokens that are plain text, such as runs of spaces, do not change the structure of a prompt.
    """
    markup = re.compile(r"<.+>|\[.+\]")
    tokens = {
        token.content
        for token in processor.tokenizer.added_tokens_decoder.values()
        if token.content.strip() and (token.special or markup.fullmatch(token.content))
    }
    return tuple(sorted(tokens | {processor.image_token}))


def answer_prefix(processor: Any) -> str:
    """What the chat template puts between its generation prompt and an answer.

    SmolVLM's generation prompt is ``Assistant:`` and its answers begin with a space; most others begin at once.
    Training sees the prefix, so decoding must produce it.
    """
    question = {"role": "user", "content": [{"type": "text", "text": "?"}]}
    answer = {"role": "assistant", "content": [{"type": "text", "text": "ANSWER"}]}
    prompt = processor.apply_chat_template([question], add_generation_prompt=True, tokenize=False)
    whole = processor.apply_chat_template([question, answer], tokenize=False)
    if not whole.startswith(prompt) or "ANSWER" not in whole:
        raise ModelError("the chat template does not continue its own generation prompt; it cannot be trained on")
    return str(whole[len(prompt) : whole.index("ANSWER")])


def adapter_processor(folder: Path, manifest: Manifest) -> LoadedModel:
    """The processor that lies beside an adapter, without any model.

    Raises:
        ModelError: It does not.
    """
    from transformers import AutoProcessor

    family = find_family(manifest.family)
    try:
        processor = AutoProcessor.from_pretrained(folder)
    except (OSError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise ModelError(
            f"{folder} lacks the processor's files that 'finetune' puts beside an adapter: {first}"
        ) from None
    limit_pixels(processor, family, manifest.pixels)
    return LoadedModel(None, processor, family, manifest.base_model)
