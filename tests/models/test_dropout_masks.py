"""Dropout by masks that are parts of one row."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from instruct_mner.models.dropout_masks import DropoutMasks
from instruct_mner.models.prefix_sharing import fuse_lora_and_attention


def _mask(masks: DropoutMasks, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    return masks.dropped(torch.ones(shape, dtype=dtype), 0.1)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_of_the_elements_is_dropped_and_the_others_get_their_gradient(dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    states = torch.full((200, 500), 2.0, dtype=dtype, requires_grad=True)
    dropped, factor = DropoutMasks().dropped(states, 0.1)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert float((dropped == 0).float().mean()) == pytest.approx(0.1, abs=0.005)
    assert factor == pytest.approx(1 / 0.9, rel=1e-4)
    dropped.sum().backward()
    assert states.grad is not None
    assert torch.equal(2 * states.grad, dropped.detach())


@pytest.mark.parametrize("dim", [0, 1])
def test_elements_of_a_layer_are_independent(dim: int) -> None:
    torch.manual_seed(4)
    shares = (_mask(DropoutMasks(), (400, 400)) == 0).float().mean(dim=dim)
    assert shares.std() == pytest.approx((0.1 * 0.9 / 400) ** 0.5, rel=0.3)


def test_layers_of_a_forward_have_masks_of_their_own() -> None:
    torch.manual_seed(5)
    masks = DropoutMasks()
    layers = torch.stack([_mask(masks, (100, 100)).flatten() for _ in range(30)])
    apart = torch.corrcoef(layers) - torch.eye(30)
    assert apart.abs().max() < 0.06  # six deviations of independent ones


def test_a_forward_has_masks_that_follow_from_the_seed_alone() -> None:
    masks = DropoutMasks()

    def of_a_forward(*widths: int) -> list[Tensor]:
        masks.renew()
        return [_mask(masks, (30, width)) for width in widths]

    torch.manual_seed(6)
    first, second = of_a_forward(64, 4096, 64), of_a_forward(64)
    torch.manual_seed(6)
    of_a_forward(64, 4096, 64)
    again = of_a_forward(64)
    torch.manual_seed(6)
    assert all(torch.equal(*pair) for pair in zip(first, of_a_forward(64, 4096, 64), strict=True))
    assert torch.equal(second[0], again[0])
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[0], first[2])


class _Decoder(nn.Module):
    """Decoder of one layer with an adapter that adds its input as it stands, after dropout."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 64, bias=False)
        inject_adapter_in_model(LoraConfig(r=64, lora_alpha=64, lora_dropout=dropout, target_modules=["layer"]), self)
        adapter: Any = self.layer
        for weights in (adapter.lora_A, adapter.lora_B):
            nn.init.eye_(weights["default"].weight)
        nn.init.zeros_(adapter.base_layer.weight)
        self.config = type("Config", (), {"_attn_implementation": "eager"})

    def forward(self, states: Tensor) -> Tensor:
        return self.layer(states)


@pytest.mark.parametrize("dropout", [0.0, 0.25])
@pytest.mark.parametrize("training", [True, False])
def test_an_adapter_drops_its_input_while_it_is_trained(dropout: float, training: bool) -> None:
    torch.manual_seed(7)
    decoder: Any = _Decoder(dropout).train(training)
    fuse_lora_and_attention(decoder, decoder)
    added = decoder(torch.ones(50, 64))
    values = [0.0, 1 / 0.75] if training and dropout else [1.0]
    assert added.unique().tolist() == pytest.approx(values)
    assert float((added == 0).float().mean()) == pytest.approx(dropout if training else 0.0, abs=0.04)
    assert torch.equal(added, decoder(torch.ones(50, 64))) == (not (training and dropout))
