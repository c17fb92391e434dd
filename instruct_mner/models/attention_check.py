"""Comparison of attention that is computed again, as objectives do, with eager attention of the model itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from instruct_mner.errors import ModelError
from instruct_mner.models.hooks import attention_of, capture, shortened
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.modes import in_use

# Largest mean distance of two rows of attention: half the sum of differences, 0 where equal, 1 where disjoint. Scores
# are rounded to bfloat16 in one of the two, which moves some hundredths of a row.
_FLOAT32, _HALF = 1e-3, 5e-2
_ROWS = 32


def check_attention(loaded: LoadedModel, inputs: Mapping[str, Tensor], layers: Sequence[int]) -> None:
    """Compare the attention that objectives compute again in some layers with that of the model, on one post.

    Args:
        loaded: Model, without an adapter.
        inputs: Inputs of a forward for one post; labels are passed over.
        layers: Layers, from 0.

    Raises:
        ModelError: A layer has no such attention, or another one than is computed.
    """
    decoder = loaded.decoder
    missing = [layer for layer in layers if attention_of(decoder, layer) is None]
    if missing:
        kind = ", ".join(f"layer {layer + 1}" for layer in missing)
        raise _refused(loaded, f"{kind} of the decoder has no attention weights")
    inputs = {name: value.to(loaded.model.device) for name, value in inputs.items() if name != "labels"}
    with in_use(loaded.base), torch.no_grad(), shortened(decoder, max(layers) + 1):
        entered: dict[int, Tensor] = {}
        with capture(decoder, attention_layers=layers) as captured, _states(decoder, entered):
            loaded.base.model(**inputs, use_cache=False)
        # With the very states of the first forward, so that rounding in one layer is not one of the next.
        with _eager(loaded.base), _states(decoder, entered), _weights(decoder, layers) as weights:
            loaded.base.model(**inputs, use_cache=False)
    rows = _text_rows(loaded, inputs)
    bound = _FLOAT32 if loaded.model.dtype == torch.float32 else _HALF
    for layer in layers:
        own = weights[layer][0].float()
        attention = captured.attention.get(layer)
        if attention is None:
            raise _refused(loaded, f"the attention of layer {layer + 1} is computed where it cannot be read")
        again = attention.scores(0, rows, range(len(own)), inputs["attention_mask"][0]).softmax(dim=-1)
        distance = float((again - own[:, rows]).abs().sum(dim=-1).mean(dim=-1).max()) / 2
        if not distance <= bound:
            raise _refused(
                loaded,
                f"attention of layer {layer + 1}, computed again from queries and keys, is {distance:.4f} away from "
                f"that of the model (0: equal, 1: nothing in common; at most {bound} is admitted)",
            )


def _refused(loaded: LoadedModel, reason: str) -> ModelError:
    return ModelError(
        f"model {loaded.name} (family {loaded.family.name}): {reason}; choose other layers in "
        "alignment.region_span_grounding.layer, or through: head, which needs no attention of the decoder"
    )


def _text_rows(loaded: LoadedModel, inputs: Mapping[str, Tensor]) -> list[int]:
    """Return the last tokens that are no image tokens: of the post and the answer, where objectives look from."""
    text = (inputs["input_ids"][0] != loaded.image_token_id) & (inputs["attention_mask"][0] != 0)
    return [int(row) for row in text.nonzero()[-_ROWS:, 0]]


@contextmanager
def _eager(model: nn.Module) -> Iterator[None]:
    """Let all parts of a model compute attention eagerly in the block."""
    configs = {id(each): each for module in model.modules() for each in _with_parts(getattr(module, "config", None))}
    kept = [(config, config._attn_implementation) for config in configs.values()]
    try:
        for config, _ in kept:
            config._attn_implementation = "eager"
        yield
    finally:
        for config, name in kept:
            config._attn_implementation = name


def _with_parts(config: object) -> list[Any]:
    """Return a config and those of its parts, the whole first: what is set on it is set on them too."""
    if not isinstance(config, PretrainedConfig):
        return []
    parts = [getattr(config, name, None) for name in config.sub_configs]
    return [config, *(part for part in parts if isinstance(part, PretrainedConfig))]


@contextmanager
def _states(decoder: nn.Module, entered: dict[int, Tensor]) -> Iterator[None]:
    """Note the states that enter the attention of each layer in the block; where they are noted already, enter them."""

    def enter(layer: int) -> Any:
        def hook(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            states = entered.setdefault(layer, arguments[0] if arguments else named["hidden_states"])
            return ((states, *arguments[1:]), named) if arguments else ((), {**named, "hidden_states": states})

        return hook

    attention = {layer: attention_of(decoder, layer) for layer in range(len(decoder.layers))}  # type: ignore[arg-type]
    handles = [
        each.register_forward_pre_hook(enter(layer), with_kwargs=True)
        for layer, each in attention.items()
        if each is not None
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _weights(decoder: nn.Module, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Keep the attention weights of some layers, ``(batch, heads, tokens, tokens)``, in the forwards of the block."""
    kept: dict[int, Tensor] = {}

    def keep(layer: int) -> Any:
        def hook(module: nn.Module, arguments: object, output: tuple[Tensor, Tensor]) -> None:
            kept[layer] = output[1]

        return hook

    handles = []
    for layer in layers:
        attention = attention_of(decoder, layer)
        assert attention is not None
        handles.append(attention.register_forward_hook(keep(layer)))
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()
