from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from transformers import TrainerCallback

from instruct_mner.errors import ConfigError
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Box, Context, Entity, Example
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.augmentation import AugmentationSettings, all_names, augment
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.finetune import build_trainer
from instruct_mner.training.setup import prepare

LABELS = LabelSet.of({"PER": "people", "LOC": None, "ORG": "companies"})
NAMES = {"PER": ["person", "human"], "ORG": ["company"]}
EXAMPLE = Example(
    id="1",
    text="Ann in Paris at Acme",
    images=("1.png",),
    context=Context(caption="a woman"),
    entities=(
        Entity(start=0, end=3, text="Ann", label="PER", boxes=(Box(box=(0, 10, 40, 60)), Box(box=(50, 50, 51, 51)))),
        Entity(start=7, end=12, text="Paris", label="LOC", boxes=()),
        Entity(start=16, end=20, text="Acme", label="ORG", boxes=None),
    ),
)
EVERYTHING = AugmentationSettings(
    drop_picture=0.3, shuffle_labels=0.5, rename_labels=0.5, label_names=NAMES, sample_labels=0.5, jitter_boxes=0.2
)


def views(settings: AugmentationSettings, number: int = 300) -> list[tuple[Example, LabelSet]]:
    return [augment(EXAMPLE, LABELS, settings, seed=1, epoch=epoch) for epoch in range(number)]


def test_off_changes_nothing() -> None:
    for epoch in range(3):
        example, labels = augment(EXAMPLE, LABELS, AugmentationSettings(), 0, epoch)
        assert example is EXAMPLE
        assert labels is LABELS


probability = st.sampled_from([0.0, 0.5, 1.0])


@given(
    st.builds(
        AugmentationSettings, drop_picture=probability, shuffle_labels=probability, rename_labels=probability,
        label_names=st.just(NAMES), sample_labels=probability, jitter_boxes=st.floats(0, 0.49),
    ),
    st.integers(0, 5), st.integers(0, 5), st.text(min_size=1, max_size=4),
)  # fmt: skip
def test_a_pure_function_whose_views_are_posts_of_their_own(settings, seed: int, epoch: int, name: str) -> None:
    post = EXAMPLE.model_copy(update={"id": name})
    example, labels = augment(post, LABELS, settings, seed, epoch)
    assert (example, labels) == augment(post, LABELS, settings, seed, epoch)
    # Made by copying, which checks nothing: made anew they are checked.
    assert Example.model_validate(example.model_dump()) == example
    assert LabelSet.model_validate(labels.model_dump()).names == labels.names
    assert {entity.label for entity in example.gold} <= set(labels.names)
    gold = {(entity.start, entity.end) for entity in EXAMPLE.gold}
    assert {(entity.start, entity.end) for entity in example.gold} <= gold
    if not settings.sample_labels:
        assert len(example.gold) == len(gold)


def test_pictures_are_dropped_with_what_is_said_of_them() -> None:
    dropped = [example for example, _ in views(AugmentationSettings(drop_picture=0.3)) if not example.images]
    assert 60 < len(dropped) < 120
    assert all(each.context is None for each in dropped)
    assert all(entity.boxes is None for each in dropped for entity in each.gold)


def test_labels_are_shuffled_with_their_definitions() -> None:
    orders = Counter(labels.names for _, labels in views(AugmentationSettings(shuffle_labels=1)))
    assert len(orders) == 6
    assert min(orders.values()) > 25
    for _, labels in views(AugmentationSettings(shuffle_labels=1), 5):
        assert {label.name: label.definition for label in labels.labels}["PER"] == "people"


def test_labels_are_renamed_in_the_answer_too() -> None:
    seen: Counter[str] = Counter()
    for example, labels in views(AugmentationSettings(rename_labels=0.5, label_names=NAMES)):
        person, place, company = example.gold
        assert labels.names == (person.label, place.label, company.label)
        assert labels.labels[0].definition == "people"
        assert place.label == "LOC"
        seen[person.label] += 1
    assert set(seen) == {"PER", "person", "human"}
    assert 110 < seen["PER"] < 190


def test_subsets_leave_entities_out() -> None:
    sizes: Counter[int] = Counter()
    for example, labels in views(AugmentationSettings(sample_labels=1)):
        assert [entity.label for entity in example.gold] == [name for name in LABELS.names if name in labels]
        sizes[len(labels)] += 1
    assert set(sizes) == {1, 2, 3}


def test_boxes_move_by_a_share_of_their_size() -> None:
    for example, _ in views(AugmentationSettings(jitter_boxes=0.2), 50):
        boxes = example.gold[0].boxes
        assert boxes is not None
        x0, y0, x1, y1 = boxes[0].box
        assert 0 <= x0 <= 8
        assert 0 <= y0 <= 20
        assert 32 <= x1 <= 48
        assert 50 <= y1 <= 70
        assert example.gold[1].boxes == ()
        assert example.gold[2].boxes is None


def test_each_draws_from_numbers_of_its_own() -> None:
    alone = [example.images for example, _ in views(AugmentationSettings(drop_picture=0.3))]
    assert alone == [example.images for example, _ in views(EVERYTHING)]


def test_epochs_seeds_and_posts_differ() -> None:
    def dropped(seed: int, epoch: int, name: str) -> bool:
        post = EXAMPLE.model_copy(update={"id": name})
        return not augment(post, LABELS, AugmentationSettings(drop_picture=0.5), seed, epoch)[0].images

    assert len({dropped(0, epoch, "a") for epoch in range(20)}) == 2
    assert len({dropped(seed, 0, "a") for seed in range(20)}) == 2
    assert len({dropped(0, 0, str(name)) for name in range(20)}) == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"PERS": ["x"]}, "'PERS' is not in the label set; did you mean 'PER'"),
        ({"PER": ["LOC"]}, "'LOC' is a type of its own already"),
        ({"PER": ["x"], "LOC": ["x"]}, "'x' is a name of 'PER' already"),
        ({"PER": [" x"]}, "cannot be the name"),
        ({}, "no augmentation.label_names to rename to"),
    ],
)
def test_names_that_cannot_be(names: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        all_names(LABELS, AugmentationSettings(rename_labels=0.5, label_names=names))


def test_all_names_are_checked() -> None:
    assert all_names(LABELS, EVERYTHING).names == ("PER", "LOC", "ORG", "person", "human", "company")
    assert all_names(LABELS, AugmentationSettings()) == LABELS


class Batches(TrainerCallback):
    """Keeps what the collator made, by the epoch that the trainer is in."""

    def __init__(self, collator) -> None:
        self.collator = collator
        self.seen: list[Any] = []

    def __call__(self, rows):
        batch = self.collator(rows)
        self.seen.append((self.collator.epoch, batch["input_ids"]))
        return batch


def train(model, folder, *, stop: int | None = None, resume: bool = False) -> list[tuple[int, torch.Tensor]]:
    posts = make_posts(folder.parent / "posts")
    config = FinetuneConfig.model_validate(
        {
            "model": str(model), "data": {"train": str(posts)}, "labels": ["PER", "LOC", "ORG", "MISC"],
            "augmentation": {"drop_picture": 0.5, "shuffle_labels": 1, "sample_labels": 0.5},
            "lora": {"rank": 8}, "optimizer": {"batch_size": 2, "max_steps": 7}, "output": str(folder),
        }
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    trainer = build_trainer(prepare(config), folder / "checkpoints", Console(quiet=True))
    batches = Batches(trainer.data_collator)
    trainer.data_collator = batches
    trainer.args.save_strategy, trainer.args.save_steps = "steps", 1
    if stop is not None:
        trainer.add_callback(Stop(stop))
    trainer.train(resume_from_checkpoint=resume)
    return batches.seen


class Stop(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs) -> None:
        control.should_training_stop = state.global_step == self.step


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_a_resumed_epoch_sees_the_same_augmentation(stop: int, tiny_models, tmp_path) -> None:
    """Three steps an epoch: stopped within the first, at its end, and within the second."""
    model = tiny_models("idefics3")
    whole = train(model, tmp_path / "whole")[:7]
    assert [epoch for epoch, _ in whole] == [0, 0, 0, 1, 1, 1, 2]
    before = train(model, tmp_path / "parts", stop=stop)[:stop]
    after = train(model, tmp_path / "parts", resume=True)
    together = [*before, *after][:7]
    assert [epoch for epoch, _ in together] == [epoch for epoch, _ in whole]
    assert all(torch.equal(one, other) for (_, one), (_, other) in zip(together, whole, strict=True))
