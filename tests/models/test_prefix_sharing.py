"""Lean forwards against whole ones: the same states, the same catches, the same gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import BOTH_KINDS, FAMILY_NAMES
from runs import aligned_run, trainer_of
from trl.trainer import utils

from instruct_mner.models.hooks import capture
from instruct_mner.models.prefix_sharing import num_shared, shared_beginning
from instruct_mner.training.batch import VIEWS

ALL_OF_IT = {
    "cross_view": {},
    "information_bottleneck": {"width": 16},
    "region_span_grounding": {"through": "attention"},
    "generative": {"width": 16, "grid": 2, "generated_share": 1.0},
}


@pytest.mark.parametrize("family", [family for family in FAMILY_NAMES if family not in {"llava_onevision", "qwen3_5"}])
def test_a_shared_beginning_changes_nothing(family, tiny_models, tmp_path) -> None:
    run = aligned_run(tiny_models(family), tmp_path, {})
    batch = {name: value for name, value in run.collator([{"index": i} for i in range(4)]).items() if name != VIEWS}
    model = run.loaded.model.eval()
    decoder = model.get_submodule(run.loaded.family.decoder_path)
    shared = num_shared(batch["input_ids"], run.loaded.image_token_id)
    assert shared >= 16
    weight = decoder.layers[0].self_attn.k_proj.weight
    caught, gradients = [], []
    for count in (0, shared):
        with shared_beginning(decoder, count), capture(decoder, layers=(1, 2), attention_layers=(1,)) as found:
            loss = model(**batch, use_cache=False).loss
        gradients += torch.autograd.grad(loss, weight)
        caught.append(found)
    whole, sharing = caught
    real = batch["attention_mask"].bool()
    for name in (1, 2):
        torch.testing.assert_close(sharing.layers[name][real], whole.layers[name][real], rtol=1e-4, atol=1e-5)
    mask = batch["attention_mask"][1]
    scores = [each.attention[1].scores(1, [int(mask.sum()) - 1], [0, 1], mask) for each in caught]
    torch.testing.assert_close(scores[1], scores[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-6)


def test_where_pictures_come_first_nothing_is_shared(tiny_models, tmp_path) -> None:
    """LLaVA-OneVision's template moves them before the instruction."""
    run = aligned_run(tiny_models("llava_onevision"), tmp_path, {})
    batch = run.collator([{"index": index} for index in range(4)])
    assert num_shared(batch["input_ids"], run.loaded.image_token_id) == 0


@pytest.mark.parametrize("family", ["qwen3_5", "qwen3_vl_moe"])
def test_where_a_row_is_one_whole_nothing_is_shared(family, tiny_models, tmp_path) -> None:
    """Qwen3.5 would have to hand the state of a prefix on to all rows; experts are balanced over whole rows."""
    run = aligned_run(tiny_models(family), tmp_path, {}, optimizer={"share_prompt_prefix": True})
    batch = run.collator.inputs([{"index": index} for index in range(4)])
    assert num_shared(batch["input_ids"], run.loaded.image_token_id) >= 16
    rows: list[int] = []
    run.loaded.decoder.layers[0].register_forward_pre_hook(lambda module, states: rows.append(len(states[0])))
    trainer = trainer_of(run)
    trainer.compute_loss(trainer.model.train(), batch)
    assert rows == [4]


def test_a_decoder_that_was_hooked_stays_so() -> None:
    decoder: Any = torch.nn.Linear(2, 2)
    with shared_beginning(decoder, 16):
        assert "forward" in vars(decoder)
    assert "forward" not in vars(decoder)
    hooked = decoder.forward = lambda states: states
    with shared_beginning(decoder, 16):
        assert decoder.forward is not hooked
    assert decoder.forward is hooked


def test_what_is_shared_ends_before_pictures_and_before_the_end() -> None:
    same = torch.arange(40).expand(2, 40).clone()
    assert num_shared(same, image_token_id=99) == 39
    assert num_shared(same, image_token_id=20) == 20
    assert num_shared(same, image_token_id=8) == 0
    assert num_shared(same[:1], image_token_id=99) == 0
    same[1, 17] = 99
    assert num_shared(same, image_token_id=99) == 17


@pytest.mark.parametrize("family", BOTH_KINDS)
def test_training_with_a_shared_prefix_has_the_gradients_of_plain_training(family, tiny_models, tmp_path) -> None:
    found = []
    for shared in (False, True):
        run = aligned_run(
            tiny_models(family), tmp_path / str(shared), ALL_OF_IT, optimizer={"share_prompt_prefix": shared}
        )
        trainer = trainer_of(run)
        trainer.current_gradient_accumulation_steps = 1
        with torch.no_grad():  # B begins at zero, and no gradient would reach A
            for name, parameter in trainer.model.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).view_as(parameter))
        batch = run.collator([{"index": index} for index in range(6)])
        loss = trainer.training_step(trainer.model.train(), batch, (batch["labels"] != -100).sum())
        lora = {n: p.grad for n, p in trainer.model.named_parameters() if "lora_" in n}
        found.append((loss, lora))
    (plain, expected), (shared, got) = found
    torch.testing.assert_close(shared, plain, rtol=1e-4, atol=1e-4)
    assert any(gradient.abs().max() > 1e-4 for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-2, atol=1e-4 * float(gradient.abs().max()) + 1e-6)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("family", BOTH_KINDS)
def test_answers_alone_are_scored_in_the_forward_of_such_a_run_and_nothing_stays_changed(
    family: str, shared: bool, tiny_models, tmp_path, monkeypatch
) -> None:
    scored = []
    apply = utils._ChunkedLogProbFunction.apply

    def spying(states, *arguments):
        scored.append(len(states))
        return apply(states, *arguments)

    monkeypatch.setattr(utils._ChunkedLogProbFunction, "apply", spying)
    trainer = trainer_of(
        run := aligned_run(tiny_models(family), tmp_path, {}, optimizer={"share_prompt_prefix": shared})
    )
    hooks = dict(trainer._forwards.backbone._forward_hooks)
    trainer.current_gradient_accumulation_steps = 1
    batch = run.collator([{"index": index} for index in range(6)])
    num_answer, num_all = int((batch["labels"] != -100).sum()), batch["labels"].numel()
    trainer.training_step(trainer.model.train(), batch, num_answer)
    assert trainer._forwards.backbone._forward_hooks == hooks
    assert "shift_labels" not in batch and int((batch["labels"] != -100).sum()) == num_answer
    [num_scored] = scored
    assert num_scored == num_answer if shared else num_scored > num_all // 2


def test_who_asks_for_outputs_has_the_logits_of_all_positions(tiny_models, tmp_path) -> None:
    trainer = trainer_of(
        run := aligned_run(tiny_models("idefics3"), tmp_path, {}, optimizer={"share_prompt_prefix": True})
    )
    batch = run.collator([{"index": index} for index in range(4)])
    trainer.model.eval()
    with torch.no_grad(), pytest.warns(FutureWarning, match="return_outputs"):
        _, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    assert outputs.logits.shape[:2] == batch["input_ids"].shape
