"""The card of a run: what it says, and what it must not leave out."""

from __future__ import annotations

from typing import Any

import pytest

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.models.locations import SMOLLM2
from instruct_mner.models.manifest import DatasetStamp, Manifest, PromptStamp
from instruct_mner.schema.labels import LabelSet
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.model_card import model_card

TRAIN = DatasetStamp(role="train", name="a/train", format="conll", sha256="1" * 64, num_posts=40, num_dropped=3)
DEV = DatasetStamp(role="dev", name="a/dev", format="conll", sha256="2" * 64, num_posts=12, known="Set, dev")
TEST = DatasetStamp(role="evaluation", name="a/test", format="conll", sha256="3" * 64, num_posts=9)
SCORES = [
    {"step": 3.0, "loss": 2.0},
    {"step": 3.0, "eval_f1": 0.25, "eval_span_f1": 0.5},
    {"step": 6.0, "eval_f1": 0.4, "eval_span_f1": 0.625},
    {"step": 9.0, "eval_f1": 0.4, "eval_span_f1": 0.75},
]


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "base_model": "some/model",
        "family": "qwen3_vl",
        "tuning": "lora",
        "prompt": PromptStamp(name="tag", sha256="ab" * 32),
        "answer": AnswerSpec(labels=LabelSet.of(["PER", "LOC"])),
        "versions": {"torch": "2.0", "trl": "1.0"},
        "seed": 3,
        "datasets": (TRAIN,),
    }
    return Manifest(**{**values, **changes})


def config(**changes: Any) -> FinetuneConfig:
    values = {"model": "some/model", "data": {"train": "t.jsonl"}, "output": "runs/my run"}
    return FinetuneConfig.model_validate({**values, **changes})


def card(metrics: list[dict[str, float]] | None = None, *, settings: Any = None, **changes: Any) -> str:
    return model_card(manifest(**changes), config(**(settings or {})), metrics or [])


def test_it_names_the_run_its_base_its_labels_and_its_data() -> None:
    text = card(datasets=(TRAIN, DEV))
    assert text.startswith("# my run\n\nA LoRA adapter for multimodal named entity recognition on `some/model`.\n")
    assert "Labels: PER, LOC. Prompt `tag` (abababababab). Seed 3." in text
    assert f"| train | a/train | - | 40 | `{'1' * 64}` |" in text
    assert f"| dev | a/dev | Set, dev | 12 | `{'2' * 64}` |" in text
    assert "Versions: torch 2.0, trl 1.0." in text
    assert "instruct-mner tag posts.jsonl --adapter 'runs/my run' -o predictions.jsonl" in text
    whole = card(tuning="full", base_revision="abc")
    assert "A fully tuned model for multimodal named entity recognition on `some/model` at revision `abc`." in whole
    assert "tag posts.jsonl --model 'runs/my run'" in whole


def test_the_dev_score_is_that_of_the_checkpoint_that_was_kept() -> None:
    text = card(SCORES, datasets=(TRAIN, DEV))
    # Two are equally good: the earlier one is kept.
    assert (
        "F1 on 12 posts of dev, which chose the checkpoint and so flatters it: 40.00 (span only 62.50) at step 6."
        in (text)
    )
    assert "GMNER" not in text
    assert "There was no dev set: no score is known, and the last checkpoint was kept." in card(SCORES[:1])


def test_grounded_runs_are_chosen_by_the_triple() -> None:
    triples = [{**line, "eval_gmner_f1": 0.9 - 0.1 * line["step"] / 3} for line in SCORES[1:]]
    text = card(triples, datasets=(TRAIN, DEV))
    assert "25.00 (span only 50.00) at step 3. GMNER triples 80.00." in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "No evaluation set was declared, so leaks into the training data were not looked for."),
        (
            {"datasets": (TRAIN, TEST)},
            "No post of the evaluation sets below was trained on; 3 were left out for it.",
        ),
        (
            {"datasets": (TRAIN, TEST), "leaked": ("a/train: 2 of 40", "b")},
            "**LEAKED**: it was trained on, or chosen by, posts of an evaluation set.\n\n- a/train: 2 of 40\n- b\n",
        ),
    ],
)
def test_leaks_are_said_in_one_of_three_ways(changes: dict[str, Any], sentence: str) -> None:
    text = card(**changes)
    assert sentence in text
    assert ("LEAKED" in text) == ("leaked" in changes)


def test_objectives_and_other_pictures_are_said() -> None:
    assert "Trained with" not in card()
    assert "It was shown" not in card()
    text = card(settings={"alignment": {"cross_view": {}, "generative": {}}})
    assert "Trained with `cross_view`, `generative` beside the answer" in text
    none = {"region_span_grounding": {"weight": 0}, "cross_view": {"weight": 0, "text_weight": 0}}
    assert "Trained with" not in card(settings={"alignment": none})
    assert "Trained with `cross_view` beside" in card(settings={"alignment": none | {"cross_view": {"weight": 0}}})
    shuffled = card(settings={"data": {"train": "t.jsonl", "image_source": "shuffled"}})
    assert "\nIt was shown pictures of other posts.\n" in shuffled
    words = {"context": True, "alignment": {"cross_view": {"teacher": "context"}}}
    both = card(settings={**words, "data": {"train": "t", "image_source": "none"}})
    assert "but its effect. It was shown no pictures.\n" in both


def test_the_licence_of_smollm2_is_named() -> None:
    assert "licence" not in card()
    assert "licence Apache-2.0" in card(base_model=SMOLLM2)


def test_it_says_that_an_adapter_was_reinforced_and_how() -> None:
    assert "GRPO" not in card()
    text = card(reinforced_from="c" * 64, settings={"reinforcement": {"num_answers": 4, "rewards": {"boxes": 0.5}}})
    assert f"Reinforced by GRPO from an adapter of sha256 `{'c' * 64}`: 4 answers to each of 16 posts a step" in text
    assert "spans 1, types 1, boxes 0.5, not_visible 1" in text
