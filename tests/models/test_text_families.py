"""Families that read text only: one parametrised test for each thing that is other than with pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from families import TEXT_FAMILIES
from peft import get_peft_model
from PIL import Image
from rich.console import Console
from runs import captioned_posts, config_of

from instruct_mner.answers import codec
from instruct_mner.data.loading import load_split
from instruct_mner.engines.engine import Request
from instruct_mner.engines.openai_format import request_body
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.models.loading import (
    NO_IMAGE_TOKEN,
    count_adapted_modules,
    load_model,
    lora_config,
)
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.prefix_sharing import fuse_lora_and_attention, num_shared, shared_beginning
from instruct_mner.models.text_processor import steady_template
from instruct_mner.prompting.templates import shown_text
from instruct_mner.schema.pixel_limits import PixelLimits
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.checks import check_end_of_answers
from instruct_mner.training.config import load_config
from instruct_mner.training.dry_run import dry_run
from instruct_mner.training.finetune import finetune
from instruct_mner.training.setup import prepare

PREFIXES = {"mistral": " "}


@pytest.fixture(params=TEXT_FAMILIES)
def loaded(request, tiny_models):
    return load_model(str(tiny_models(request.param)))


def prepared(model: Path, folder: Path, **changes: object):
    values = {"data": {"train": str(make_posts(folder / "posts"))}, **changes}
    return prepare(load_config(config_of(model, folder, **values)))


def test_the_model_is_adapted_in_its_decoder_and_has_no_image_token(loaded) -> None:
    assert loaded.image_token_id == NO_IMAGE_TOKEN
    assert loaded.answer_prefix == PREFIXES.get(loaded.family.name, "")
    model = get_peft_model(loaded.model, lora_config(loaded.family, rank=8, alpha=16, dropout=0.0))
    assert count_adapted_modules(model, loaded.family) == {"decoder": 7 * 2}


def test_limits_on_pictures_are_refused(tiny_models) -> None:
    with pytest.raises(ModelError, match="reads text only"):
        load_model(str(tiny_models("llama")), pixels=PixelLimits(max_pixels=500))


@pytest.mark.parametrize("family", TEXT_FAMILIES)
def test_what_is_tagged_is_what_was_trained_on_and_answers_are_legal(family, tiny_models, tmp_path) -> None:
    run = prepared(tiny_models(family), tmp_path)
    engine = TransformersEngine(run.loaded, batch_size=4)
    requests, texts = [], []
    for number, example in enumerate(run.train.examples):
        row = run.conversations.row(example, run.train.picture_paths(example)[:0])
        assert [part["type"] for part in row["prompt"][0]["content"]] == ["text", "text"]
        batch = run.collator([{"index": number}])
        trained = batch["input_ids"][0, : int((batch["labels"][0] == -100).sum())]
        assert torch.equal(engine.inputs([Request(row["prompt"])])["input_ids"][0], trained)
        assert set(batch) == {"input_ids", "attention_mask", "labels"}
        texts.append(shown_text(example.text, run.loaded.special_tokens))
        requests.append(Request(row["prompt"], (), codec.grammar(run.spec, texts[-1], 0), max_tokens=60))
    together = engine.generate(requests)
    for text, completion in zip(texts, together, strict=True):
        answer = codec.parse(run.spec, text, completion.text, 0, finished=completion.finished)
        assert answer.rejected.hallucinated == 0
        assert answer.rejected.malformed == (0 if completion.finished else 1)
    alone = TransformersEngine(run.loaded, batch_size=1).generate(requests)
    assert [each.text for each in together] == [each.text for each in alone]


@pytest.mark.parametrize("family", TEXT_FAMILIES)
def test_a_shared_beginning_and_lean_layers_change_nothing(family, tiny_models, tmp_path) -> None:
    run = prepared(tiny_models(family), tmp_path)
    batch = run.collator([{"index": index} for index in range(4)])
    model = get_peft_model(run.loaded.model, lora_config(run.loaded.family, rank=8, alpha=16, dropout=0.0)).eval()
    with torch.no_grad():  # B begins at zero, and no gradient would reach A
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).view_as(parameter))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decoder = model.get_base_model().get_submodule(run.loaded.family.decoder_path)
    shared = num_shared(batch["input_ids"], run.loaded.image_token_id)
    assert shared >= 16
    found = []
    for fused in (False, True):
        if fused:
            fuse_lora_and_attention(model, decoder)
        with shared_beginning(decoder, shared if fused else 0):
            loss = model(**batch, use_cache=False).loss
        found.append((loss, torch.autograd.grad(loss, trained)))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-4, atol=1e-5)
    assert any(gradient.abs().max() > 1e-4 for gradient in found[0][1])
    for plain, lean in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(lean, plain, rtol=1e-2, atol=1e-3 * float(plain.abs().max()) + 1e-6)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=[] if family in {"llama", "gemma3_text"} else [pytest.mark.prove])
        for family in TEXT_FAMILIES
    ],
)
def test_finetune_and_tag_with_words_about_the_pictures(family, tiny_models, tmp_path) -> None:
    changes = {
        "context": True,
        "optimizer": {"max_steps": 2, "batch_size": 3, "learning_rate": 0.01},
        "alignment": {"cross_view": {"teacher": "context"}},
        "prompt": "tag-twice",
    }
    config = load_config(config_of(tiny_models(family), tmp_path, **changes))
    captioned_posts(tmp_path / "posts")
    console = Console(record=True, width=200)
    finetune(config, console)
    assert "5 posts of train have pictures that are not shown" in console.export_text()
    manifest, _ = Manifest.load(tmp_path / "run" / "adapter")
    assert (manifest.family, manifest.max_images, manifest.context) == (family, 0, True)
    dataset = load_split(str(tmp_path / "posts" / "posts.jsonl"))
    predictions = list(Tagger.from_pretrained(tmp_path / "run").predict(dataset.examples, dataset.picture_paths))
    assert [each.id for each in predictions] == [each.id for each in dataset.examples]
    assert not any(each.rejected.hallucinated for each in predictions)


def test_pictures_that_are_not_there_are_not_missed_and_are_counted(tiny_models, tmp_path) -> None:
    text = "IMGID:1\nAnn\tB-PER\nwins\tO\n\nIMGID:2\nin\tO\nRome\tB-LOC\n"
    (tmp_path / "posts.txt").write_text(text)  # there is no folder of pictures at all
    data = f"conll:{tmp_path / 'posts.txt'}"
    optimizer = {"max_steps": 1, "batch_size": 2}
    path = config_of(tiny_models("llama"), tmp_path, data={"train": data, "dev": data}, optimizer=optimizer)
    settings, console = load_config(path, ["evaluation.every_steps=1"]), Console(record=True, width=200)
    dry_run(settings, console)
    finetune(settings, console)
    printed = console.export_text()
    assert "2 posts of train have pictures that are not shown" in printed
    assert "missing in" not in printed
    found = Tagger.from_pretrained(tmp_path / "run").predict_entities("Ann wins", image=Image.new("RGB", (9, 9)))
    assert {entity["text"] for entity in found} <= {"Ann", "wins", "Ann wins"}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"answer": {"grounded": True}}, "answer.grounded"),
        ({"alignment": {"region_span_grounding": {}}}, "region_span_grounding"),
        ({"alignment": {"information_bottleneck": {}}}, "information_bottleneck"),
        ({"alignment": {"generative": {}}}, "generative"),
        ({"alignment": {"cross_view": {"teacher": "image"}}}, "cross_view with teacher: image"),
    ],
)
def test_what_needs_pictures_is_refused_by_name(changes, name: str, tiny_models, tmp_path) -> None:
    with pytest.raises(ConfigError, match=f"(?s)reads text only.*{re.escape(name)}"):
        prepared(tiny_models("llama"), tmp_path, **changes)


def test_a_model_that_cannot_learn_to_stop_is_refused(tiny_models, tmp_path) -> None:
    loaded = load_model(str(tiny_models("qwen2")))
    check_end_of_answers(loaded)
    weight, end = loaded.model.get_output_embeddings().weight, loaded.processor.tokenizer.eos_token_id
    for row in (weight.detach().mean(dim=0), torch.zeros(weight.shape[1])):
        with torch.no_grad():
            weight[end] = row
        with pytest.raises(ModelError, match="never trained"):
            check_end_of_answers(loaded)
    loaded.model.generation_config.eos_token_id = 1
    loaded.processor.tokenizer.eos_token = "<|im_start|>"
    with pytest.raises(ModelError, match="does not end generation"):
        check_end_of_answers(loaded)


def test_a_template_is_the_same_every_day_and_without_thoughts(tiny_models) -> None:
    template = """{%- set today = strftime_now("%d %B %Y") -%}{{ today }}{{ strftime_now('%Y') }}"""
    assert steady_template(template) == """{%- set today = "26 Jul 2024" -%}{{ today }}{{ "26 Jul 2024" }}"""
    processor = load_model(str(tiny_models("qwen3"))).processor
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": "?"}], add_generation_prompt=True, tokenize=False
    )
    assert prompt.endswith("<think>\n\n</think>\n\n")
    assert steady_template(processor.chat_template) == processor.chat_template


def test_a_server_is_sent_one_string() -> None:
    parts = [{"type": "text", "text": "Types: PER.\n"}, {"type": "text", "text": "Post: Ana"}]
    request = Request([{"role": "user", "content": parts}])
    body = request_body(request, "none", logprobs=False, joined=True)
    assert body["messages"] == [{"role": "user", "content": "Types: PER.\nPost: Ana"}]
    assert request_body(request, "none", logprobs=False)["messages"][0]["content"] == parts
