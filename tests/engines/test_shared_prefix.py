"""What all questions of a batch begin with is read once, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from families import FAMILY_NAMES
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.engines.engine import Request
from instruct_mner.engines.shared_prefix import padded_after_beginning
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.loading import load_model

PAD, IMAGE = 0, 9
SAME = [5, 6] * 8


@given(
    st.integers(0, 16),
    st.lists(st.lists(st.sampled_from([1, 2, IMAGE]), min_size=1, max_size=9), min_size=1, max_size=5),
)
def test_only_padding_moves(num_same: int, ends: list[list[int]]) -> None:
    rows = [SAME[:num_same] + end for end in ends]
    width = max(map(len, rows))
    inputs = {
        "input_ids": torch.tensor([[PAD] * (width - len(row)) + row for row in rows]),
        "attention_mask": torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows]),
        "token_type_ids": torch.tensor([[0] * (width - len(row)) + [int(t == IMAGE) for t in row] for row in rows]),
        "pixel_values": torch.ones(len(rows), 3),
    }
    shared = padded_after_beginning(inputs, IMAGE, PAD)
    assert {name: len(values) for name, values in inputs.items()} == dict.fromkeys(inputs, len(rows))
    own = inputs["attention_mask"].bool()
    assert [ids[real].tolist() for ids, real in zip(inputs["input_ids"], own, strict=True)] == rows
    assert (inputs["input_ids"][~own] == PAD).all()
    assert torch.equal(inputs["token_type_ids"].bool(), inputs["input_ids"] == IMAGE)
    if shared:
        assert own[:, :shared].all()
        assert (inputs["input_ids"][:, :shared] == inputs["input_ids"][:1, :shared]).all()
        assert IMAGE not in inputs["input_ids"][:, :shared]
        assert min(map(len, rows)) > shared
    else:
        assert num_same < 16 or len(rows) == 1


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_instruction_is_read_once_for_a_batch(family, tiny_models) -> None:
    loaded = load_model(str(tiny_models(family)))
    instruction = "Name the entities of the post, one a line in text order. Types: PER, LOC, ORG. "
    texts = ("Kevin Durant", "a post about Chicago that is longer", "rain")
    requests = [
        Request([{"role": "user", "content": [{"type": "text", "text": f"{instruction}Post: {text}"}]}], max_tokens=2)
        for text in texts
    ]
    read: list[tuple[int, int]] = []
    layer = loaded.decoder.layers[0]
    layer.register_forward_pre_hook(lambda module, arguments: read.append(tuple(arguments[0].shape[:2])))
    TransformersEngine(loaded, batch_size=3).generate(requests)
    # Gemma's decoders are given masks of their own kinds; Qwen3.5 hands a state from token to token.
    if family in {"gemma3", "gemma4", "qwen3_5"}:
        assert read[0][0] == 3
    else:
        assert read[0][0] == 1
        assert read[1][0] == 3
        assert read[0][1] >= 16
