"""Capture of the states, queries, keys and pictures of a decoder's forward, by hooks.

Hooks see the very tensors of the forward, with their gradient, under gradient checkpointing too (the non-reentrant
kind, the only one in use).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from instruct_mner.models.prefix_sharing import joined


@dataclass(frozen=True, kw_only=True)
class AttentionInputs:
    """Queries and keys of one layer, before the rotation by position.

    Attributes:
        module: Attention module of the layer.
        query: Queries, ``(batch, tokens, heads * head width)``.
        key: Keys, ``(batch, tokens, key heads * head width)``.
        rotation: Cosines and sines, ``(batch, tokens, head width)``.
    """

    module: nn.Module
    query: Tensor
    key: Tensor
    rotation: tuple[Tensor, Tensor]

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
        module: Any = self.module
        at = torch.as_tensor(rows, device=self.query.device)
        chosen = torch.as_tensor(heads, device=self.query.device)
        cosine, sine = (part[example if len(part) > 1 else 0] for part in self.rotation)
        query = self.query[example, at].view(len(rows), -1, module.head_dim)[:, chosen]
        key = self.key[example].view(self.key.shape[1], -1, module.head_dim)[:, chosen // module.num_key_value_groups]
        if hasattr(module, "q_norm"):  # Qwen3-VL and Gemma 3 normalise each head
            query, key = module.q_norm(query), module.k_norm(key)
        wide = torch.promote_types(query.dtype, torch.float32)
        query = _rotated(query, cosine[at], sine[at]).to(wide)
        key = _rotated(key, cosine, sine).to(wide)
        scores = torch.einsum("rhd,thd->hrt", query, key) * module.scaling
        token = torch.arange(scores.shape[-1], device=scores.device)
        hidden = (token > at[:, None]) | (mask == 0)
        window = getattr(module, "sliding_window", None)
        if window is not None:
            hidden = hidden | (token <= at[:, None] - window)
        return scores.masked_fill(hidden, float("-inf"))  # type: ignore[no-any-return]


def _rotated(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return states rotated by position, ``(tokens, heads, head width)``.

    Source: ``apply_rotary_pos_emb`` of Llama, Qwen2-VL to Qwen3-VL and Gemma 3, transformers 5.19.
    """
    first, second = states.chunk(2, dim=-1)
    return states * cosine[:, None] + torch.cat([-second, first], dim=-1) * sine[:, None]


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
    parts: dict[Any, list[Tensor]] = {}

    def begins(module: Any, arguments: Any) -> None:
        parts.clear()

    def last(module: Any, arguments: Any, output: Any) -> None:
        captured.states = output.last_hidden_state
        for layer in layers:
            if layer in parts:
                captured.layers[layer] = joined(parts[layer])
        if len(blocks) in layers:
            captured.layers[len(blocks)] = captured.states
        for layer in attention_layers:
            if (layer, "query") in parts:
                query, key, cosine, sine = (joined(parts[layer, name]) for name in _ATTENTION_PARTS)
                captured.attention[layer] = AttentionInputs(
                    module=blocks[layer].self_attn, query=query, key=key, rotation=(cosine, sine)
                )

    handles = [decoder.register_forward_pre_hook(begins), decoder.register_forward_hook(last)]
    for layer in layers:
        if layer < len(blocks):
            # The input of the layer, not the output of the one before: DeepStack adds to it in between.
            handles.append(blocks[layer].register_forward_pre_hook(_enters(parts, layer), with_kwargs=True))
    for layer in attention_layers:
        handles += _catch_attention(parts, layer, blocks[layer].self_attn)
    if picture:
        handles.append(decoder.register_forward_pre_hook(_embeddings(captured), with_kwargs=True))
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()


def _enters(parts: dict[Any, list[Tensor]], layer: int) -> Any:
    def hook(module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        parts.setdefault(layer, []).append(arguments[0] if arguments else keywords["hidden_states"])

    return hook


_ATTENTION_PARTS = ("query", "key", "cosine", "sine")


def _catch_attention(parts: dict[Any, list[Tensor]], layer: int, attention: Any) -> list[Any]:
    def keep(name: str, value: Tensor) -> None:
        parts.setdefault((layer, name), []).append(value)

    def before(module: Any, arguments: Any, keywords: dict[str, Any]) -> None:
        for name, value in zip(("cosine", "sine"), keywords["position_embeddings"], strict=True):
            keep(name, value)

    def leaves(name: str) -> Any:
        def hook(module: Any, arguments: Any, output: Tensor) -> None:
            keep(name, output)

        return hook

    return [
        attention.register_forward_pre_hook(before, with_kwargs=True),
        attention.q_proj.register_forward_hook(leaves("query")),
        attention.k_proj.register_forward_hook(leaves("key")),
    ]


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
