"""Scores of the dev subset, of predictions written by hand in the place of a model's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from instruct_mner.data.dataset import Dataset
from instruct_mner.schema.records import Box, Entity, Example, PredictedEntity, Prediction, Rejected
from instruct_mner.training import dev_scores
from instruct_mner.training.dev_scores import score_dev

TEXT = "Ann met Bob"
BOX = Box(box=(0, 0, 10, 10))
GOLD = tuple(
    Example(
        id=str(number), text=TEXT, images=("a.png",),
        entities=(Entity(start=0, end=3, text="Ann", label="PER", boxes=(BOX,)),
                  Entity(start=8, end=11, text="Bob", label="PER", boxes=())),
    )
    for number in range(5)
)  # fmt: skip
DEV = Dataset(name="a/dev", format="jsonl", path=Path("dev.jsonl"), sha256="0" * 64, examples=GOLD)


def predicted(post: Example) -> Prediction:
    """Ann without her box, Bob as a place, and a line that is no answer."""
    entities = (
        PredictedEntity(start=0, end=3, text="Ann", label="PER", boxes=()),
        PredictedEntity(start=8, end=11, text="Bob", label="LOC", boxes=()),
    )
    return Prediction(id=post.id, text=post.text, images=post.images, entities=entities, rejected=Rejected(malformed=1))


@pytest.fixture
def tagged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the posts that the stand-in of the tagger is given."""
    ids: list[str] = []

    class Tagger:
        def __init__(self, engine: tuple[object, int], manifest: object, prompt: object) -> None:
            assert (engine, manifest, prompt) == (("model", 4), "manifest", "prompt")

        def predict(self, posts: Sequence[Example], paths: object) -> Iterator[Prediction]:
            assert paths == DEV.picture_paths
            for post in posts:
                ids.append(post.id)
                yield predicted(post)

    monkeypatch.setattr(dev_scores, "TransformersEngine", lambda loaded, batch_size, **_: (loaded, batch_size))
    monkeypatch.setattr(dev_scores, "Tagger", Tagger)
    return ids


def scores(*, with_boxes: bool) -> dict[str, float]:
    parts: Any = ("model", "manifest", "prompt")
    return score_dev(DEV, *parts, batch_size=4, with_boxes=with_boxes)


def test_scores_of_a_post_counted_by_hand(tagged: list[str]) -> None:
    # Of two gold entities and three predicted items a post, one is right, and two without their types.
    assert scores(with_boxes=False) == {
        "f1": pytest.approx(2 * 1 / (3 + 2)),
        "span_f1": pytest.approx(2 * 2 / (3 + 2)),
        "rejected": pytest.approx(1 / 3),
    }
    assert tagged == [post.id for post in GOLD]


def test_boxes_are_scored_where_they_are_asked_for(tagged: list[str]) -> None:
    found = scores(with_boxes=True)
    # Ann has the right type but is said not to be visible, Bob has the wrong type.
    assert found["gmner_f1"] == 0.0
    assert found["f1"] == pytest.approx(0.4)


def test_each_process_tags_its_share_and_knows_all_scores(tagged: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scores(with_boxes=False)
    tagged.clear()
    monkeypatch.setattr(dev_scores, "PartialState", lambda: SimpleNamespace(process_index=1, num_processes=2))
    others = [predicted(post) for post in GOLD[0::2]]
    monkeypatch.setattr(dev_scores, "gather_object", lambda own: [*others, *own])
    assert scores(with_boxes=False) == whole
    assert tagged == ["1", "3"]
