"""All objectives on every family: gradient reaches the LoRA, and nothing of them gets into the adapter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch
from families import TRAINED
from PIL import Image
from runs import EVERYTHING, aligned_run, trainer_of
from safetensors.torch import load_file
from transformers import TrainerCallback

from instruct_mner.alignment.checkpoint import FOLDER, save_heads
from instruct_mner.alignment.objective import AlignmentBatch, View
from instruct_mner.engines.generated import GeneratedPictureEngine
from instruct_mner.models.hooks import Captured
from instruct_mner.models.tuned import heads_folder
from instruct_mner.schema.records import PredictedEntity, Prediction
from instruct_mner.tagging.attention_maps import AttentionMapDrawer
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.training.batch import VIEWS
from instruct_mner.training.finetune import save_weights
from instruct_mner.training.objectives import heads_shape


class Gradients(TrainerCallback):
    def __init__(self) -> None:
        self.kept: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs) -> None:
        self.kept = {n: p.grad.detach().clone() for n, p in model.named_parameters() if p.grad is not None}


def stepped(model: Path, folder: Path, alignment: dict, **more):
    """A trainer after two steps, its run, and the gradients of the second."""
    run = aligned_run(model, folder, alignment, **more)
    trainer = trainer_of(run)
    gradients = Gradients()
    trainer.add_callback(gradients)
    trainer.train()
    return trainer, run, gradients.kept


@pytest.mark.parametrize("family", TRAINED)
def test_gradient_reaches_the_lora_and_nothing_gets_into_the_adapter(family, tiny_models, tmp_path) -> None:
    more = {"optimizer": {"gradient_checkpointing": family in {"qwen3_vl", "idefics3", "gemma3"}}}
    _, _, plain = stepped(tiny_models(family), tmp_path / "plain", {}, **more)
    trainer, run, moved = stepped(tiny_models(family), tmp_path / "all", EVERYTHING, **more)
    lora = {name for name in moved if "lora_" in name}
    assert lora == set(plain)
    assert all(not torch.equal(moved[name], plain[name]) for name in lora)
    heads = {name for name in moved if name not in lora}
    assert {name.split(".")[1] for name in heads} == {"information_bottleneck", "region_span_grounding", "generative"}
    assert all(torch.isfinite(gradient).all() for gradient in moved.values())
    # Every head has learned something, but for what only annotated or generated posts reach.
    still = {name for name in heads if not moved[name].any()}
    assert not still, still

    folder = run.config.output
    save_weights(trainer, run, folder / "adapter")
    saved = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert saved
    assert all("lora_" in name for name in saved)
    logged = {name for line in trainer.state.log_history for name in line}
    assert {"cross_view/kl", "information_bottleneck/mi", "region_span_grounding/region_attention"} <= logged
    assert {"generative/text2image_loss", "generative/generated_answer_loss"} <= logged

    save_heads(folder / FOLDER, trainer.heads, run.alignment, heads_shape(run.loaded, run.spec))
    check_tagging(trainer, run, folder)


# A family for each way to compute attention: the others share theirs with one of these.
@pytest.mark.parametrize("family", ["idefics3", "qwen2_vl", "qwen3_vl", "gemma3", "internvl"])
def test_supervised_attention_reaches_queries_and_keys_under_checkpointing(family, tiny_models, tmp_path) -> None:
    kept = []
    for weight in (0, 1):
        grounding = {"region_span_grounding": {"weight": weight}}
        settings = {"gradient_checkpointing": True, "max_grad_norm": 1e9, "max_steps": 1}
        trainer, _, gradients = stepped(tiny_models(family), tmp_path / str(weight), grounding, optimizer=settings)
        kept.append({name: gradient for name, gradient in gradients.items() if "lora_B" in name})
    moved = {name for name in kept[0] if not torch.allclose(kept[0][name], kept[1][name], atol=1e-7)}
    # Of the second layer only what its attention is made of; of the first all that the states are made of.
    reached = {name for name in kept[0] if ".layers.0." in name or ".q_proj." in name or ".k_proj." in name}
    assert moved == reached
    [line] = [line for line in trainer.state.log_history if "region_span_grounding/loss" in line]
    assert 0 < line["region_span_grounding/region_attention"] < 1
    assert 0 < line["region_span_grounding/mention_attention"] < 1


def check_tagging(trainer, run, folder: Path) -> None:
    """Tagging asks what was trained: the same tokens, the same generated picture; and it shows where mentions look."""
    trainer.model.eval()
    views = run.collator([{"index": 0}])[VIEWS]
    found = next(each for each in run.objectives if each.name == "generative")
    with torch.no_grad(), trainer._forwards.capture_image_view():
        text = trainer._forwards.batch(Captured(states=torch.zeros(1)), {}, replace(views, generated=None), 1.0).text
    states, own = found._texts(AlignmentBatch(image=View(states=torch.zeros(1), inputs={}), text=text), [0])
    expected = found.picture_of(states, own)

    tagger = Tagger.from_pretrained(folder, generated=True)
    engine = tagger.engine
    assert isinstance(engine, GeneratedPictureEngine)
    example = run.train.examples[0].model_copy(update={"text": "Jordan", "entities": None, "images": ()})
    with mock.patch.object(engine, "generate", wraps=engine.generate) as generate:
        [prediction] = tagger.predict([example])
        assert all(entity.text == "Jordan" and entity.boxes is None for entity in prediction.entities)
        list(tagger.predict([run.train.examples[0]]))
    inputs = engine.inputs(generate.call_args.args[0][-1:])
    trained = views.generated.batch["input_ids"][0]
    length = int((views.generated.batch["labels"][0] != -100).nonzero()[0])
    assert inputs["input_ids"][0].tolist() == trained[:length].tolist()
    pooled = inputs["mm_encoder_outputs"]["image"].pooler_output
    pooled = pooled if isinstance(pooled, torch.Tensor) else torch.stack(list(pooled))
    torch.testing.assert_close(pooled, expected[..., : pooled.shape[-1]], rtol=1e-4, atol=1e-5)

    plain = Tagger.from_pretrained(folder)
    drawer = AttentionMapDrawer(plain, heads_folder(folder), folder / "attention")
    entity = PredictedEntity(start=12, end=18, text="Jordan", label="PER")
    post = run.train.examples[0]
    [path] = drawer.draw(
        post,
        run.train.picture_paths(post),
        Prediction(id=post.id, text=post.text, images=post.images, entities=(entity,)),
    )
    assert path.name == "post-0-1-Jordan.png"
    with Image.open(path) as image:
        assert image.size == (90, 80)
