"""The code against published checkpoints: sizes, templates, tokens, boxes and quirks, without a download."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from families import FAMILY_NAMES
from PIL import Image
from test_chat_template import SHIPPED, messages
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.chat_template import around_answer, continue_generation_prompt
from instruct_mner.models.description import describe_model
from instruct_mner.models.families import find_family, token_boxes
from instruct_mner.models.loading import load_model
from instruct_mner.models.text_processor import steady_template
from instruct_mner.schema.labels import LabelSet

CHECKPOINTS = yaml.safe_load((Path(__file__).parent / "checkpoints.yaml").read_text(encoding="utf-8"))


@pytest.fixture(params=CHECKPOINTS, ids=lambda facts: facts["name"].split("/")[1])
def facts(request) -> dict[str, Any]:
    return request.param


def test_every_family_with_pictures_has_a_checkpoint_and_every_fact_a_source() -> None:
    assert {facts["family"] for facts in CHECKPOINTS} == set(FAMILY_NAMES)
    for facts in CHECKPOINTS:
        assert facts["source"]
        for name in facts["unverified"]:
            first, _, field = name.removeprefix("config.").partition(".")
            part = facts["config"].get(first, facts.get(first))
            assert first == "config" or part is not None, f"{facts['name']}: {name}"
            assert not field or field in part, f"{facts['name']}: {name}"


def test_adapter_and_paths_on_a_model_of_the_published_size(facts) -> None:
    config = AutoConfig.for_model(facts["family"], **facts["config"])
    family = find_family(config.model_type)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    linears = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    adapted = {name for name in linears if re.fullmatch(family.lora_pattern, name)}
    assert len(adapted) == facts["adapted"]
    assert all(name.startswith(f"{family.decoder_path}.layers.") for name in adapted)
    for path in (family.decoder_path, *family.vision_paths):
        assert list(model.get_submodule(path).parameters())
    assert family.num_deepstack(config) == facts.get("deepstack", 0)
    image_token = facts["config"].get("image_token_id", facts["config"].get("image_token_index"))
    assert config.image_token_id == image_token


def test_template_and_border_of_the_answer(facts, tiny_models) -> None:
    processor = describe_model(str(tiny_models(facts.get("model", facts["family"])))).processor
    if "template" in facts:
        template = (SHIPPED / f"{facts['template']['name']}.jinja").read_text(encoding="utf-8")
        # Another text under this name has to be looked at before it is relied on.
        assert hashlib.sha256(template.encode()).hexdigest()[:16] == facts["template"]["sha256"]
        processor.chat_template = steady_template(template)
        continue_generation_prompt(processor)
    assert list(around_answer(processor)) == facts["around_answer"]
    prompt = processor.apply_chat_template(messages(2), add_generation_prompt=True, tokenize=False)
    assert prompt.count("Post: Ann [1, 2] met Bob") == 1


def test_classes_and_boxes(facts) -> None:
    config = AutoConfig.for_model(facts["family"])
    family = find_family(config.model_type)
    assert family.box_convention.name == facts["boxes"]
    assert (family.resized is not None) == (facts["boxes"] == "absolute")
    names = transformers.models.auto.processing_auto.PROCESSOR_MAPPING_NAMES
    assert names[facts["family"]] == facts["processor"]


def test_the_grid_of_a_picture_with_the_published_settings(facts, tiny_models) -> None:
    folder = str(tiny_models(facts.get("model", facts["family"])))
    processor = describe_model(folder).processor
    assert type(processor).__name__ == facts["processor"]
    processor.image_processor = getattr(transformers, facts["image_processor"])(**facts["images"])
    for name, value in facts.get("processor_settings", {}).items():
        setattr(processor, name, value)
        if name == "full_image_sequence":
            tokens = processor.tokenizer.image_token * processor.image_seq_length
            processor.full_image_sequence = value.replace("IMAGE TOKENS", tokens)
    width, height, *number = facts["picture"]
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    text = processor.apply_chat_template(messages(1), add_generation_prompt=True, tokenize=False)
    inputs = processor(text=[text], images=[[picture]], return_tensors="pt", add_special_tokens=False)
    config = AutoConfig.from_pretrained(folder)
    ids = inputs["input_ids"][0].tolist()
    [boxes] = token_boxes(find_family(config.model_type), processor, config.image_token_id, ids, [picture.size], inputs)
    assert len(boxes) == ids.count(config.image_token_id) >= 64
    assert not number or [len(boxes)] == number
    assert boxes.min() == 0
    assert boxes.max() == 1


def test_no_generation_config_changes_an_answer(tiny_models) -> None:
    loaded = load_model(str(tiny_models("qwen3_vl")))
    spec = AnswerSpec(labels=LabelSet.of(["PER", "LOC"]))
    text = "Ann met Ann and Bob in Bobville and in Annville and again in Bobville"
    requests = [Request(messages(0), (), codec.grammar(spec, text, 0), max_tokens=40)]
    engine = TransformersEngine(loaded)
    [plain] = engine.generate(requests)
    assert plain.text
    for facts in CHECKPOINTS:
        sampling = {name: value for name, value in facts["generation"].items() if not name.endswith("token_id")}
        if sampling:
            loaded.model.generation_config = GenerationConfig(
                eos_token_id=loaded.tokenizer.eos_token_id, pad_token_id=loaded.tokenizer.pad_token_id, **sampling
            )
            [answer] = engine.generate(requests)
            assert answer.text == plain.text, facts["name"]
