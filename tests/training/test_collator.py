from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from families import BOTH_KINDS, FAMILY_NAMES

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.loading import load_split
from instruct_mner.engines.engine import Completion
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.errors import DataError
from instruct_mner.models.loading import load_model
from instruct_mner.models.manifest import Manifest, PromptStamp
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Entity, Example
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.augmentation import AugmentationSettings
from instruct_mner.training.collator import Collator
from instruct_mner.training.conversation import Conversations
from instruct_mner.training.trainable import check_trainable
from instruct_mner.training.trl_arguments import prompt_completion_collator

LABELS = LabelSet.of(["PER", "LOC", "ORG", "MISC"])


@pytest.fixture(params=FAMILY_NAMES)
def collated(request, tiny_models, tmp_path):
    loaded = load_model(str(tiny_models(request.param)))
    dataset = load_split(str(make_posts(tmp_path)))
    spec = AnswerSpec(
        labels=LABELS,
        grounded=True,
        prefix=loaded.answer_prefix,
        box_range=loaded.family.box_convention.answer_range,
    )
    conversations = Conversations(prompt=find_prompt("tag-grounded"), spec=spec, description=loaded, max_images=1)
    collator = Collator(
        examples=dataset.examples,
        picture_paths=dataset.picture_paths,
        conversations=conversations,
        collate=prompt_completion_collator(loaded.processor),
        image_token_id=loaded.image_token_id,
    )
    return loaded, dataset, spec, collator


def test_the_loss_is_on_the_answer_only(collated) -> None:
    loaded, dataset, spec, collator = collated
    rows = [{"index": index} for index in range(len(dataset.examples))]
    batch = collator(rows)
    for example, ids, labels in zip(dataset.examples, batch["input_ids"], batch["labels"], strict=True):
        answered = loaded.processor.tokenizer.decode(ids[labels != -100])
        assert answered.startswith(spec.prefix)
        answer = codec.parse(
            spec, example.text, answered.removesuffix("\n").removesuffix(loaded.processor.tokenizer.eos_token)
        )
        # `<image>` in the post was neutralised, one character for one: offsets hold.
        assert [(e.start, e.end, e.label) for e in answer.entities] == [(e.start, e.end, e.label) for e in example.gold]
        assert answer.rejected.total == 0


def test_a_post_with_special_tokens_does_not_change_the_structure(collated) -> None:
    loaded, _, _, collator = collated
    batch = collator([{"index": 4}])
    ends = (batch["input_ids"] == loaded.processor.tokenizer.eos_token_id).sum()
    assert ends == 2  # of the user's turn and of the answer


@pytest.mark.parametrize(
    ("family", "box"),
    [("qwen3_vl", "[56, 63, 444, 750]"), ("gemma3", "[56, 63, 444, 750]"), ("qwen2_5_vl", "[5, 5, 37, 63]")],
)
def test_boxes_are_in_model_units(family: str, box: str, tiny_models, tmp_path) -> None:
    """(5, 5, 40, 60) of 90 x 80 pixels; Qwen2.5-VL writes pixels of the picture as it was resized, to 84 x 84."""
    loaded = load_model(str(tiny_models(family)))
    dataset = load_split(str(make_posts(tmp_path)))
    spec = AnswerSpec(labels=LABELS, grounded=True, box_range=loaded.family.box_convention.answer_range)
    conversations = Conversations(prompt=find_prompt("tag-grounded"), spec=spec, description=loaded, max_images=1)
    [example] = [each for each in dataset.examples if each.id == "post-0"]
    [answer] = conversations.row(example, dataset.picture_paths(example))["completion"]
    assert answer["content"][0]["text"] == f"PER: Jordan {box}\nLOC: Chicago []"


@pytest.mark.parametrize("family", ["idefics3", "qwen2_5_vl"])
def test_json_and_context_as_tagging_would_ask(family: str, tiny_models, tmp_path) -> None:
    """Question and answer of training are those of the tagger, to the last character."""
    loaded = load_model(str(tiny_models(family)))
    posts = make_posts(tmp_path)
    context = {"caption": f"a {loaded.processor.image_token}"}
    lines = [json.loads(line) | {"context": context} for line in posts.read_text().split("\n")[:-1]]
    posts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    dataset = load_split(str(posts))
    convention = loaded.family.box_convention
    spec = AnswerSpec(labels=LABELS, format="json", grounded=True, box_range=convention.answer_range)
    prompt = find_prompt("tag-grounded")
    conversations = Conversations(prompt=prompt, spec=spec, description=loaded, max_images=1, context=True)
    manifest = Manifest(
        base_model="m", family=family, tuning="lora", prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        answer=spec, context=True, box_convention=convention.name,
    )  # fmt: skip
    engine = Parrot(loaded)
    list(Tagger(engine, manifest, prompt).predict(dataset.examples, dataset.picture_paths))
    for example, request in zip(dataset.examples, engine.requests, strict=True):
        row = conversations.row(example, dataset.picture_paths(example))
        assert row["prompt"] == request.messages
        assert "Picture: a ‹" in request.messages[0]["content"][-1]["text"]
        answer = row["completion"][0]["content"][0]["text"]
        assert [item["text"] for item in json.loads(answer)] == [entity.text for entity in example.gold]


class Parrot(TransformersEngine):
    """Notes what it is asked."""

    def generate(self, requests, *, temperature: float = 0.0, seed: int = 0):
        self.requests = list(requests)
        return [Completion("[]") for _ in requests]


@pytest.mark.parametrize("family", BOTH_KINDS)
def test_batches_without_augmentation_are_those_of_the_rows(family: str, tiny_models, tmp_path) -> None:
    loaded = load_model(str(tiny_models(family)))
    dataset = load_split(str(make_posts(tmp_path)))
    conversations = Conversations(
        prompt=find_prompt("tag"), spec=AnswerSpec(labels=LABELS), description=loaded, max_images=1
    )
    collate = prompt_completion_collator(loaded.processor)
    arguments: dict[str, Any] = {
        "examples": dataset.examples,
        "picture_paths": dataset.picture_paths,
        "conversations": conversations,
        "collate": collate,
        "image_token_id": loaded.image_token_id,
    }
    indices = [{"index": index} for index in range(len(dataset.examples))]
    expected = collate([conversations.row(each, dataset.picture_paths(each)) for each in dataset.examples])
    for epoch in (0, 3):
        collator = Collator(**arguments, augmentation=AugmentationSettings(), seed=7)
        collator.epoch = epoch
        batch: Any = collator(indices)
        assert batch.keys() == expected.keys()
        assert all(torch.equal(batch[name], expected[name]) for name in expected)
    bare: Any = Collator(**arguments, augmentation=AugmentationSettings(drop_picture=1))(indices)
    assert "pixel_values" not in bare
    assert not (bare["input_ids"] == loaded.image_token_id).any()


def test_everything_that_cannot_be_trained_on_is_told_at_once() -> None:
    entity = Entity(start=0, end=3, text="Ann", label="DOG")
    posts = [
        Example(id="a", text="Ann"),
        Example(id="b", text="Ann", entities=(entity,)),
        Example(id="c", text="Ann", images=("x.png",), entities=(entity.model_copy(update={"label": "PER"}),)),
        Example(
            id="d", text="Ann Ann Ann",
            entities=tuple(Entity(start=s, end=s + 3, text="Ann", label="PER", boxes=()) for s in (0, 4, 8)),
        ),
    ]  # fmt: skip
    with pytest.raises(DataError) as raised:
        check_trainable(posts, AnswerSpec(labels=LABELS, grounded=True, max_entities=2))
    message = str(raised.value)
    for part in (
        "4 problem(s)",
        "post 'a' is not annotated",
        "label set: DOG",
        "post 'c' has entities without 'boxes'",
        "raise answer.max_entities, which is 2",
    ):
        assert part in message
