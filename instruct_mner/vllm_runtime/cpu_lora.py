"""Adapters on a CPU: what vLLM computes there, once an adapter instead of once a token.

vLLM's own code for CPUs copies the adapter's matrices for every token of a batch, which takes about four fifths of the
time of a small model, and gives tokens of the base model, whose number of an adapter is -1, to the last adapter: beside
requests for an adapter the base answers as that. Here each adapter's tokens are multiplied at once, and those of the
base are left alone. ``cpu_worker.py`` brings it into vLLM's workers.

Source: vLLM 0.32, ``lora/ops/torch_ops/lora_ops.py``, ``lora/punica_wrapper/punica_cpu.py``; can go when these do so.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad


def multiply(inputs: Tensor, weights: Tensor, indices: Tensor, output: Tensor, *, scale: float, add: bool) -> None:
    """Write into ``output`` what each token's adapter makes of it.

    Args:
        inputs: ``(tokens, in)``.
        weights: ``(adapters, out, in)``, or with a 1 after the first.
        indices: The adapter of each token, ``(tokens,)``; -1 for none.
        output: ``(tokens, out)`` or wider or narrower: vLLM pads both. Its type is that of the sums.
        scale: Factor of the product.
        add: True to add the product to ``output``; rows of tokens of the base are then left alone.
    """
    weights = weights.squeeze(1) if weights.dim() == 4 else weights
    width = min(weights.shape[1], output.shape[1])
    if not add:
        output[:, :width] = 0
    if not len(indices):
        return
    inputs, target = inputs.to(output.dtype), output[: len(inputs), :width]
    first, last = int(indices.min()), int(indices.max())
    for number in range(max(first, 0), last + 1):
        matrix = weights[number, :width].to(output.dtype).T
        if first == last:
            target += scale * _product(inputs, matrix)
            return
        rows = (indices == number).nonzero()[:, 0]
        if len(rows):
            target.index_add_(0, rows, scale * _product(inputs[rows], matrix))


def _product(inputs: Tensor, matrix: Tensor) -> Tensor:
    """Return ``inputs @ matrix``, computed on as many rows as the next power of 2.

    oneDNN keeps what it compiles for each shape: with any number of rows, a gigabyte and more in a long run.
    """
    rows = len(inputs)
    return (pad(inputs, (0, 0, 0, (1 << (rows - 1).bit_length()) - rows)) @ matrix)[:rows]


def _shrink(inputs: Tensor, weights: Tensor, output: Tensor, indices: Tensor, scaling: float = 1.0) -> None:
    multiply(inputs, weights, indices, output, scale=scaling, add=False)


def _expand(inputs: Tensor, weights: Tensor, output: Tensor, indices: Tensor, add_inputs: bool = True) -> None:
    multiply(inputs, weights, indices, output, scale=1.0, add=add_inputs)


def _expand_slice(
    inputs: Tensor,
    weights: Tensor,
    output: Tensor,
    indices: Tensor,
    slice_offset: int,
    slice_size: int,
    add_inputs: bool = True,
) -> None:
    part = output[:, slice_offset : slice_offset + slice_size]
    multiply(inputs, weights, indices, part, scale=1.0, add=add_inputs)


def install() -> None:
    """Put these in the place of vLLM's own, in this process."""
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu

    for module in (lora_ops, punica_cpu):
        vars(module).update(bgmv_shrink=_shrink, bgmv_expand=_expand, bgmv_expand_slice=_expand_slice)
