"""Forwards and gradients with less work, equal up to rounding.

Three parts: the common prefix of the prompts of a batch goes through the decoder once; a LoRA is added to its layer in
one product; and on a CPU attention keeps its weights, so that the backward pass does not compute them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.masking_utils import eager_mask

from instruct_mner.models.dropout_masks import DropoutMasks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Shorter prefixes are not worth two calls of the decoder.
_LEAST = 16
_ATTENTION = "instruct_mner_plain"


def fuse_lora_and_attention(model: nn.Module, decoder: PreTrainedModel) -> None:
    """Replace the forwards of LoRA layers, and on a CPU the attention of the decoder, by faster ones.

    Args:
        model: Model with adapters.
        decoder: Text decoder inside.
    """
    on_cpu = next(decoder.parameters()).device.type == "cpu"
    masks = DropoutMasks() if on_cpu else None
    if masks is not None:
        decoder.register_forward_pre_hook(lambda *_: masks.renew())
    _fused_lora(model, masks)
    if on_cpu and decoder.config._attn_implementation == "sdpa":
        _register_attention()
        decoder.set_attn_implementation(_ATTENTION)


def num_shared(input_ids: Tensor, image_token_id: int) -> int:
    """Return the number of tokens that are the same at the beginning of all rows, before any picture.

    Args:
        input_ids: Token ids, ``(batch, tokens)``, padded on the right.
        image_token_id: Id of an image token.
    """
    same = (input_ids == input_ids[:1]).all(dim=0) & (input_ids[0] != image_token_id)
    # The last token is never shared, so that at least one comes after the prefix.
    count = int(same[:-1].int().cumprod(dim=0).sum())
    return count if len(input_ids) > 1 and count >= _LEAST else 0


@contextmanager
def shared_beginning(decoder: nn.Module, num_tokens: int) -> Iterator[None]:
    """Compute the first tokens, which all rows share, once in the forwards of the block; a causal decoder allows it.

    Args:
        decoder: Text decoder of a family. With any mask but one of padding, as in Gemma 3, all tokens of all rows are
            computed.
        num_tokens: Number of shared tokens.
    """
    whole = decoder.forward

    def forward(*arguments: Any, **named: Any) -> Any:
        if named.get("input_ids") is not None and named.get("inputs_embeds") is None:  # of a text model
            table: Any = decoder.get_input_embeddings
            named["inputs_embeds"] = table()(named.pop("input_ids"))
        embeddings, mask = named.get("inputs_embeds"), named.get("attention_mask")
        cache = named.get("past_key_values")
        begins = cache is None or cache.get_seq_length() == 0
        plain = isinstance(mask, Tensor) and mask.ndim == 2
        if arguments or embeddings is None or not (plain and begins):
            return whole(*arguments, **named)
        return _in_two(whole, decoder, named, num_tokens)

    if not num_tokens:
        yield
        return
    hooked = vars(decoder).get("forward")  # accelerate's, where a model lies on several devices
    decoder.forward = forward
    try:
        yield
    finally:
        if hooked is None:
            del decoder.forward
        else:
            decoder.forward = hooked


def _in_two(whole: Any, decoder: Any, named: dict[str, Any], num_tokens: int) -> Any:
    embeddings = named["inputs_embeds"]
    kept = named.get("past_key_values")
    cache = DynamicCache(config=decoder.config) if kept is None else kept
    first, rest = dict(named), dict(named)
    first |= {"inputs_embeds": embeddings[:1, :num_tokens], "attention_mask": None}
    rest |= {"inputs_embeds": embeddings[:, num_tokens:]}
    positions = named.get("position_ids")
    if positions is not None:  # (batch, tokens), with a dimension before it where positions have several axes
        first["position_ids"] = positions[..., :1, :num_tokens]
        rest["position_ids"] = positions[..., num_tokens:]
    pictures = named.get("visual_pos_masks")
    if pictures is not None:  # DeepStack; all pictures stand in the beginning, of which a row is read, or none does
        own, inside = named["deepstack_visual_embeds"], int(pictures[0, :num_tokens].sum())
        taken = {"visual_pos_masks": pictures[:1, :num_tokens], "deepstack_visual_embeds": [x[:inside] for x in own]}
        none = {"visual_pos_masks": None, "deepstack_visual_embeds": None}
        first |= taken if inside else none
        rest |= none if inside else {"visual_pos_masks": pictures[:, num_tokens:]}
    beginning = whole(**{**first, "past_key_values": cache, "use_cache": True}).last_hidden_state
    for layer in cache.layers:
        if layer.is_initialized:
            layer.keys = layer.keys.expand(len(embeddings), -1, -1, -1)
            layer.values = layer.values.expand(len(embeddings), -1, -1, -1)
    output = whole(**{**rest, "past_key_values": cache, "use_cache": True})
    output.last_hidden_state = joined([beginning, output.last_hidden_state])
    output.past_key_values = kept
    return output


def joined(parts: list[Tensor]) -> Tensor:
    """Return parts of a sequence as one, ``(batch, tokens, width)``; the first part may be one row for all."""
    if len(parts) == 1:
        return parts[0]
    rows = max(map(len, parts))
    return torch.cat([part.expand(rows, *part.shape[1:]) for part in parts], dim=1)


def _fused_lora(model: nn.Module, masks: DropoutMasks | None) -> None:
    from peft.tuners.lora.layer import Linear

    for module in model.modules():
        # Layers in 4 bits, and DoRA and its like, stay as they are.
        if type(module) is Linear and type(module.base_layer) is nn.Linear and not module.lora_variant:
            module.forward = MethodType(partial(_lora_forward, masks), module)


def _lora_forward(masks: DropoutMasks | None, self: Any, states: Tensor, *arguments: Any, **named: Any) -> Tensor:
    """Return ``W x + (scaling · B) (A x)``, with the sum inside the second product.

    PEFT casts the input to the adapter's float32 and back under autocast, multiplies and adds each on its own: on a
    CPU that takes longer than the base layer.
    """
    if arguments or named or self.disable_adapters or self.merged or len(self.active_adapters) != 1:
        return type(self).forward(self, states, *arguments, **named)  # type: ignore[no-any-return]
    adapter = self.active_adapters[0]
    base: Tensor = self.base_layer(states)
    dropout: nn.Module = self.lora_dropout[adapter]
    dropped, factor = states.to(base.dtype), 1.0
    if masks is not None and isinstance(dropout, nn.Dropout):
        if dropout.training and dropout.p > 0:
            dropped, factor = masks.dropped(dropped, dropout.p)
    else:
        dropped = dropout(dropped)
    down, up = self.lora_A[adapter].weight, self.lora_B[adapter].weight * (self.scaling[adapter] * factor)
    inner = nn.functional.linear(dropped, down.to(base.dtype))
    return torch.addmm(base.flatten(0, -2), inner.flatten(0, -2), up.to(base.dtype).t()).view(base.shape)


def _register_attention() -> None:
    AttentionInterface.register(_ATTENTION, _attention)
    AttentionMaskInterface.register(_ATTENTION, eager_mask)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **named: Any
) -> tuple[Tensor, None]:
    """Return attention in plain products: ``(batch, heads, tokens, width)`` to ``(batch, tokens, heads, width)``.

    Source: torch 2.13 on a CPU takes 5 to 7 times as long for the backward pass of its fused attention as for the
    forward pass, at 180 to 256 tokens in bfloat16; this takes half of it in all.
    """
    batch, heads, tokens, width = query.shape
    key_heads, before = key.shape[1:3]
    scale = named.get("scaling") or width**-0.5
    # The heads that share a key are rows of one product, so that keys and values need not be repeated.
    grouped = (query * scale).reshape(batch, key_heads, -1, width)
    scores = torch.matmul(grouped, key.transpose(2, 3)).view(batch, key_heads, -1, tokens, before)
    if attention_mask is not None:
        scores = scores + attention_mask[:, :, None]
    weights = nn.functional.dropout(torch.softmax(scores, dim=-1), named.get("dropout", 0.0), module.training)
    attended = torch.matmul(weights.view(batch, key_heads, -1, before), value)
    return attended.view(batch, heads, tokens, width).transpose(1, 2).contiguous(), None
