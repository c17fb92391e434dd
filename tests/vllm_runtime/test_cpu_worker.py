"""The module that vLLM's workers import: it puts our products in the place of vLLM's. vLLM itself is a stand-in."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch

NAMES = ("bgmv_shrink", "bgmv_expand", "bgmv_expand_slice")


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Both modules of vLLM that hold the products, after a worker has imported ours."""
    paths = ("vllm.lora.ops.torch_ops.lora_ops", "vllm.lora.punica_wrapper.punica_cpu")
    for path in paths:
        parts = path.split(".")
        for depth in range(1, len(parts)):
            monkeypatch.setitem(sys.modules, ".".join(parts[:depth]), ModuleType(parts[depth - 1]))
    modules = []
    for path in paths:
        parent, _, name = path.rpartition(".")
        module = ModuleType(path)
        vars(module).update(dict.fromkeys(NAMES, "vLLM's own"), other="left alone")
        setattr(sys.modules[parent], name, module)
        monkeypatch.setitem(sys.modules, path, module)
        modules.append(module)
    monkeypatch.delitem(sys.modules, "instruct_mner.vllm_runtime.cpu_worker", raising=False)
    from instruct_mner.vllm_runtime.cpu_worker import WorkerExtension

    # vLLM refuses an extension whose attributes a worker has already.
    assert [name for name in vars(WorkerExtension) if not name.startswith("__")] == []
    monkeypatch.delitem(sys.modules, "instruct_mner.vllm_runtime.cpu_worker")
    return modules


def test_all_three_products_are_ours_and_nothing_else(replaced: list[Any]) -> None:
    lora_ops, punica_cpu = replaced
    for name in NAMES:
        assert getattr(lora_ops, name) is getattr(punica_cpu, name)
        assert callable(getattr(lora_ops, name))
    assert lora_ops.other == punica_cpu.other == "left alone"


def test_they_compute_a_lora_by_vllms_arguments(replaced: list[Any]) -> None:
    ops = replaced[1]
    inputs = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    down, up = torch.tensor([[[1.0, 1.0]], [[0.0, 2.0]]]), torch.tensor([[[1.0], [10.0]], [[2.0], [20.0]]])
    indices = torch.tensor([0, -1, 1])
    small = torch.full((3, 1), 7.0)
    ops.bgmv_shrink(inputs, down, small, indices, 0.5)
    # The sum of the first token's two numbers, nothing for a token of the base, twice the second of the third's.
    assert small.tolist() == [[1.5], [0.0], [6.0]]
    output = torch.ones(3, 2)
    ops.bgmv_expand(small, up, output, indices, add_inputs=True)
    assert output.tolist() == [[2.5, 16.0], [1.0, 1.0], [13.0, 121.0]]
    ops.bgmv_expand(small, up, output, indices, add_inputs=False)
    assert output.tolist() == [[1.5, 15.0], [0.0, 0.0], [12.0, 120.0]]
    wide = torch.zeros(3, 5)
    ops.bgmv_expand_slice(small, up, wide, indices, 2, 2)
    assert wide.tolist() == [[0.0, 0.0, 1.5, 15.0, 0.0], [0.0] * 5, [0.0, 0.0, 12.0, 120.0, 0.0]]
