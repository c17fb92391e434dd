"""What the table of ``smollm2.py`` says of a set beside spans: coarse types of FMNERG, triples of GMNER."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from instruct_mner.data.loading import load_split
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.spans import score_spans
from instruct_mner.scoring.triples import score_triples

_Post = TypeVar("_Post", Example, Prediction)

# F1 of triples that the papers of systems with boxes report; of FMNERG with its fine types.
_TRIPLES = {
    "gmner": "H-Index 56.41, MQSPN 58.76, E2E-GMNER 63.94, RiVEG 66.0, MCR 70.6",
    "fmnerg": "MQSPN 48.57, E2E-GMNER 54.32",
}


def other_scores(name: str, arm: str, predicted: Sequence[Sequence[Prediction]], data: Path) -> Iterator[str]:
    """Yield lines on an arm, where the set has more than spans.

    Args:
        name: Name of the set.
        arm: Name of the arm.
        predicted: Predictions of the test set, of each seed.
        data: Folder of the set.
    """
    if name == "fmnerg":
        types = _coarse_types(data)
        gold = [_with_types(post, types) for post in _posts(f"fmnerg:{data / 'test.txt'}")]
        scores = [score_spans(gold, [_with_types(each, types) for each in own]).micro.score.f1 for own in predicted]
        yield f"{arm} by its 8 coarse types (each fine one stands for its coarse one): micro F1 {_listed(scores)}."
    if name == "gmner":
        seen = _posts(f"gmner:{data / 'txt' / 'test.txt'}")
        triples = [score_triples(seen, [_unseen(each) for each in own]).gmner.score.f1 for own in predicted]
        yield f"{arm} with no mention told as visible: F1 of triples {_listed(triples)}."
    if name in _TRIPLES:
        yield f"Published F1 of triples, by systems that tell boxes: {_TRIPLES[name]}."


def _posts(data: str) -> Sequence[Example]:
    return load_split(data, missing_image="keep").examples


def _coarse_types(data: Path) -> dict[str, str]:
    """Return the coarse type of each fine one, in the columns of train."""
    path = f"fmnerg:{data / 'train.txt'}"
    coarse = load_split(path, missing_image="keep", label_column="coarse").examples
    pairs = zip(_posts(path), coarse, strict=True)
    return {one.label: other.label for posts in pairs for one, other in zip(*(p.gold for p in posts), strict=True)}


def _with_types(post: _Post, types: dict[str, str]) -> _Post:
    entities = [each.model_copy(update={"label": types.get(each.label, each.label)}) for each in post.entities or ()]
    return post.model_copy(update={"entities": tuple(entities)})


def _unseen(prediction: Prediction) -> Prediction:
    entities = [each.model_copy(update={"boxes": ()}) for each in prediction.entities]
    return prediction.model_copy(update={"entities": tuple(entities)})


def _listed(scores: Sequence[float]) -> str:
    return ", ".join(f"{100 * score:.2f}" for score in scores)
