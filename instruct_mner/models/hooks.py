"""Capture of the states, queries, keys and pictures of a decoder's forward, by hooks.

Hooks see the very tensors of the forward, with their gradient, under gradient checkpointing too (the non-reentrant
kind, the only one in use).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from instruct_mner.models.prefix_sharing import joined

# Queries, keys, scaling and window of a call of an attention function.
_Call = tuple[Tensor, Tensor, float, int | None]


@dataclass(frozen=True, kw_only=True)
class AttentionInputs:
    """Queries and keys of one layer as its attention takes them: projected, normalised and rotated by position.

    Attributes:
        query: Queries, ``(batch, heads, tokens, head width)``.
        key: Keys, ``(batch, key heads, tokens, head width)``.
        scaling: Factor of their products.
        window: Number of tokens that a token attends to, with itself; ``None`` for all before it.
    """

    query: Tensor
    key: Tensor
    scaling: float
    window: int | None = None

    def scores(self, example: int, rows: Sequence[int], heads: Sequence[int], mask: Tensor) -> Tensor:
        """Return attention scores of some tokens before the softmax, as the layer itself computes them.

        Only these rows and heads are computed, so that the model may use fused attention.

        Args:
            example: Row of the batch.
            rows: Query tokens.
            heads: Attention heads, from 0.
            mask: Attention mask, ``(tokens,)``; 0 at padding.

        Returns:
            ``(heads, rows, tokens)`` in float32, ``-inf`` at keys that are masked out.
        """
        at = torch.as_tensor(rows, device=self.query.device)
        chosen = torch.as_tensor(heads, device=self.query.device)
        shared = self.query.shape[1] // self.key.shape[1]
        wide = torch.promote_types(self.query.dtype, torch.float32)
        query = self.query[example][chosen][:, at].to(wide)
        scores = torch.einsum("hrd,htd->hrt", query, self.key[example][chosen // shared].to(wide)) * self.scaling
        token = torch.arange(scores.shape[-1], device=scores.device)
        hidden = (token > at[:, None]) | (mask == 0)
        if self.window is not None:
            hidden = hidden | (token <= at[:, None] - self.window)
        return scores.masked_fill(hidden, float("-inf"))


@dataclass
class Captured:
    """Tensors of the last forward in a block.

    Attributes:
        states: Last states of the decoder.
        layers: States that entered a layer, by layer.
        attention: Queries and keys of a layer, by layer.
        picture: Embeddings that entered the decoder; see ``alignment.View.picture``.
    """

    states: Tensor | None = None
    layers: dict[int, Tensor] = field(default_factory=dict)
    attention: dict[int, AttentionInputs] = field(default_factory=dict)
    picture: Tensor | None = None


@contextmanager
def shortened(decoder: nn.Module, num_layers: int) -> Iterator[None]:
    """Run only the first layers of a decoder in the block, where later states are not needed.

    Args:
        decoder: Text decoder of a family.
        num_layers: Number of layers to run.
    """
    whole: Any = decoder.layers
    decoder.layers = whole[:num_layers]
    try:
        yield
    finally:
        decoder.layers = whole


@contextmanager
def capture(
    decoder: nn.Module,
    *,
    layers: Sequence[int] = (),
    attention_layers: Sequence[int] = (),
    picture: bool = False,
) -> Iterator[Captured]:
    """Capture tensors of a decoder in the forwards of the block.

    Args:
        decoder: Text decoder of a family.
        layers: Layers whose incoming states are captured, from 0; the number of layers names the last states.
        attention_layers: Layers whose queries and keys are captured, from 0.
        picture: Whether the incoming embeddings are captured.
    """
    captured = Captured()
    blocks: Any = decoder.layers
    # A forward with a shared prefix goes through the layers twice: once with the prefix, once with the rest.
    parts: dict[int, list[Tensor]] = {}
    attended: dict[int, list[_Call]] = {}

    def begins(module: Any, arguments: Any) -> None:
        parts.clear()
        attended.clear()

    def last(module: Any, arguments: Any, output: Any) -> None:
        captured.states = output.last_hidden_state
        for layer in layers:
            if layer in parts:
                captured.layers[layer] = joined(parts[layer])
        if len(blocks) in layers:
            captured.layers[len(blocks)] = captured.states
        for layer, each in attended.items():
            # Keys of a prefix come back from the cache, so that the last ones are all of them.
            query = torch.cat([part.expand(len(each[-1][0]), *part.shape[1:]) for part, *_ in each], dim=2)
            _, key, scaling, window = each[-1]
            captured.attention[layer] = AttentionInputs(query=query, key=key, scaling=scaling, window=window)

    handles = [decoder.register_forward_pre_hook(begins), decoder.register_forward_hook(last)]
    for layer in layers:
        if layer < len(blocks):
            # The input of the layer, not the output of the one before: DeepStack adds to it in between.
            handles.append(blocks[layer].register_forward_pre_hook(_enters(parts, layer), with_kwargs=True))
    if picture:
        handles.append(decoder.register_forward_pre_hook(_embeddings(captured), with_kwargs=True))
    numbers = {id(attention_of(decoder, layer)): layer for layer in attention_layers}
    try:
        with _attention_noted(decoder, numbers, attended):
            yield captured
    finally:
        for handle in handles:
            handle.remove()


def _enters(parts: dict[Any, list[Tensor]], layer: int) -> Any:
    def hook(module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        parts.setdefault(layer, []).append(arguments[0] if arguments else keywords["hidden_states"])

    return hook


@contextmanager
def _attention_noted(
    decoder: nn.Module, numbers: Mapping[int, int], attended: dict[int, list[_Call]]
) -> Iterator[None]:
    """Note what the attention of some layers is called with.

    Queries and keys are taken where all of a layer's own work on them is done: heads may be normalised, gated, rotated
    in part, or have the keys of another layer.

    Args:
        decoder: Text decoder.
        numbers: Layer of each attention module, by its ``id``.
        attended: Calls of each layer, which are added to.
    """
    config: Any = decoder.config if numbers else None
    name = config._attn_implementation if numbers else None
    if name not in ALL_ATTENTION_FUNCTIONS:  # `eager` is a function of each family's own, out of reach
        yield
        return
    whole = ALL_ATTENTION_FUNCTIONS[name]

    def attention(module: nn.Module, query: Tensor, key: Tensor, *arguments: Any, **named: Any) -> Any:
        if id(module) in numbers:
            scaling = named.get("scaling")
            scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
            call = (query, key, scaling, named.get("sliding_window"))
            attended.setdefault(numbers[id(module)], []).append(call)
        return whole(module, query, key, *arguments, **named)

    ALL_ATTENTION_FUNCTIONS[name] = attention
    try:
        yield
    finally:
        del ALL_ATTENTION_FUNCTIONS[name]


def attention_of(decoder: nn.Module, layer: int) -> nn.Module | None:
    """Return the attention of a layer; ``None`` where the layer is of another kind, such as linear attention."""
    blocks: Any = decoder.layers
    return getattr(blocks[layer], "self_attn", None)


def nearest_attention(decoder: nn.Module, layer: int) -> int:
    """Return the layer with attention that is nearest to a layer; the earlier where two are as near."""
    blocks: Any = decoder.layers
    layers = [each for each in range(len(blocks)) if attention_of(decoder, each) is not None]
    return min(layers, key=lambda each: (abs(each - layer), each))


def _embeddings(captured: Captured) -> Any:
    def hook(module: Any, arguments: Any, keywords: dict[str, Any]) -> None:
        embeddings = keywords.get("inputs_embeds")
        if embeddings is None:
            return
        parts = [embeddings]
        for added in keywords.get("deepstack_visual_embeds") or ():
            spread = torch.zeros_like(embeddings)
            spread[keywords["visual_pos_masks"]] = added.to(spread)
            parts.append(spread)
        captured.picture = torch.cat(parts, dim=-1)

    return hook
