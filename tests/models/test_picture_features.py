"""Features of pictures that are kept, against those that are computed each time."""

from __future__ import annotations

import pytest
import torch
from families import FAMILY_NAMES
from runs import aligned_run, trainer_of

from instruct_mner.engines.engine import Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.feature_store import FeatureStore
from instruct_mner.models.picture_features import keep_features


def count_calls(module, calls):
    module.register_forward_hook(lambda *_: calls.append(1))


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_kept_features_change_no_states(family, tiny_models, tmp_path) -> None:
    run = aligned_run(tiny_models(family), tmp_path, {})
    loaded = run.loaded
    model, tower = loaded.model.eval(), loaded.base.get_submodule(loaded.family.vision_paths[0])
    batches = [run.collator.inputs([{"index": index} for index in rows]) for rows in ((0, 1, 2, 3), (3, 1, 4), (2,))]
    with torch.no_grad():
        before = [model(**batch).logits for batch in batches]
    calls: list[int] = []
    count_calls(tower, calls)
    keep_features(loaded, FeatureStore(tmp_path / "store", 1 << 30))
    with torch.no_grad():
        first = [model(**batch).logits for batch in batches]
        num_calls = len(calls)
        again = [model(**batch).logits for batch in batches]
    assert 1 <= num_calls <= len(batches)
    assert len(calls) == num_calls
    for whole, kept, taken in zip(before, first, again, strict=True):
        torch.testing.assert_close(kept, whole, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(taken, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["qwen3_vl", "smolvlm"])
def test_losses_are_the_same(family, tiny_models, tmp_path) -> None:
    """Of two epochs with all objectives, where the second takes every feature from the disk."""
    alignment = {"cross_view": {}, "generative": {"width": 16, "grid": 2, "generated_share": 1.0}}
    losses = []
    for enabled in (False, True):
        run = aligned_run(
            tiny_models(family),
            tmp_path / str(enabled),
            alignment,
            optimizer={"batch_size": 3, "max_steps": 4},
            vision_cache={"enabled": enabled},
        )
        trainer = trainer_of(run)
        trainer.args.save_strategy = "no"
        trainer.train()
        losses.append([line["loss"] for line in trainer.state.log_history if "loss" in line])
    assert len(losses[0]) == 4
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert len({round(loss, 3) for loss in losses[0]}) > 1


@pytest.mark.parametrize("family", ["qwen3_vl", "smolvlm"])
def test_answers_are_the_same(family, tiny_models, tmp_path) -> None:
    """Scoring dev during training takes the features of training."""
    run = aligned_run(tiny_models(family), tmp_path, {})
    rows = [run.conversations.row(example, run.picture_paths(example)) for example in run.train.examples[:3]]
    requests = [Request(messages=row["prompt"], images=tuple(row["images"]), max_tokens=6) for row in rows]
    engine = TransformersEngine(run.loaded)
    before = [completion.text for completion in engine.generate(requests)]
    keep_features(run.loaded, FeatureStore(tmp_path / "store", 1 << 30))
    with torch.no_grad():
        run.loaded.model(**run.collator.inputs([{"index": index} for index in range(3)]))
    calls: list[int] = []
    count_calls(run.loaded.base.get_submodule(run.loaded.family.vision_paths[0]), calls)
    assert [completion.text for completion in engine.generate(requests)] == before
    assert not calls
