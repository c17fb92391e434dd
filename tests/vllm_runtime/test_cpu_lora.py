"""Adapters on a CPU, against a loop over tokens in float64."""

from __future__ import annotations

import pytest
import torch

from instruct_mner.vllm_runtime.cpu_lora import multiply


@pytest.mark.parametrize("indices", [[], [-1], [2], [-1, -1, -1], [1, 1, 1], [0, 2, -1, 2, 0], [1, -1], [2, 1, 0]])
@pytest.mark.parametrize("add", [True, False])
@pytest.mark.parametrize("width", [5, 7, 9])
def test_each_token_is_given_to_its_own_adapter(indices: list[int], add: bool, width: int) -> None:
    torch.manual_seed(0)
    weights, inputs = torch.randn(3, 1, 7, 4), torch.randn(len(indices), 4)
    # vLLM pads: the output may hold more tokens than there are.
    output = torch.randn(max(1, len(indices)), width)
    expected = output.double().clone()
    common = min(7, width)
    for token, number in enumerate(indices):
        base = expected[token, :common] if add else torch.zeros(common, dtype=torch.float64)
        product = weights[number, 0].double() @ inputs[token].double() if number >= 0 else torch.zeros(7)
        expected[token, :common] = base + 0.5 * product[:common]
    if not add and len(output) > len(indices):
        expected[len(indices) :, :common] = 0
    multiply(inputs, weights, torch.tensor(indices, dtype=torch.long), output, scale=0.5, add=add)
    torch.testing.assert_close(output.double(), expected, atol=1e-5, rtol=1e-5)
