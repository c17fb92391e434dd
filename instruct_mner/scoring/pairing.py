"""Gold posts and their predictions, matched by id."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from instruct_mner.errors import DataError, listing
from instruct_mner.schema.records import Example, Prediction


def named_ids(what: str, ids: Iterable[str], *, most: int = 5) -> list[str]:
    """Return a line with the number of some ids and the first ones; none where there are none.

    Args:
        what: Noun phrase for what has the ids.
        ids: The ids.
        most: Number of ids that are named.
    """
    names = list(ids)
    if not names:
        return []
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return [f"{len(names)} {what}: {', '.join(map(repr, names[:most]))}{more}"]


class Pairs(Sequence[tuple[Example, Prediction]]):
    """Gold posts with their predictions, in the order of the gold.

    Args:
        gold: Annotated posts.
        predicted: Predictions.
        places: Place of each post's prediction among them.
    """

    def __init__(self, gold: Sequence[Example], predicted: Sequence[Prediction], places: Sequence[int]) -> None:
        self._gold, self._predicted, self._places = gold, predicted, places

    @overload
    def __getitem__(self, at: int) -> tuple[Example, Prediction]: ...
    @overload
    def __getitem__(self, at: slice) -> Pairs: ...
    def __getitem__(self, at: int | slice) -> tuple[Example, Prediction] | Pairs:
        """Return a pair, or some of them."""
        if isinstance(at, slice):
            return Pairs(self._gold[at], self._predicted, self._places[at])
        return self._gold[at], self._predicted[self._places[at]]

    def __iter__(self) -> Iterator[tuple[Example, Prediction]]:
        """Iterate over the pairs."""
        return ((post, self._predicted[place]) for post, place in zip(self._gold, self._places, strict=True))

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._places)


def pair_posts(gold: Sequence[Example], predicted: Sequence[Prediction]) -> Pairs:
    """Find the prediction of each gold post by id; the order is that of the gold.

    Raises:
        DataError: Ids are missing, unknown or given twice, texts differ, or posts hold no gold; the message
            counts each and names the first ones.
    """
    place_of: dict[str, int] = {}
    texts: list[int] = []
    twice: dict[str, None] = {}
    for place, prediction in enumerate(predicted):
        if place_of.setdefault(prediction.id, place) != place:
            twice[prediction.id] = None
            place_of[prediction.id] = place
        # Hashes stand for the texts, which may be very many.
        texts.append(hash(prediction.text))
    gold_twice: dict[str, None] = {}
    gold_ids: set[str] = set()
    unannotated, differ, lacking = [], [], []
    places = array("q")
    for post in gold:
        if post.id in gold_ids:
            gold_twice[post.id] = None
        elif post.id not in place_of:
            lacking.append(post.id)
        gold_ids.add(post.id)
        if post.entities is None:
            unannotated.append(post.id)
        place = place_of.get(post.id, -1)
        if place >= 0 and texts[place] != hash(post.text):
            differ.append(post.id)
        places.append(place)
    problems = [
        *named_ids("gold post(s) whose id is given twice", gold_twice),
        *named_ids("gold post(s) without 'entities'", unannotated),
        *named_ids("predicted post(s) whose id is given twice", twice),
        *named_ids("gold post(s) without a prediction", lacking),
        *named_ids("predicted post(s) that gold does not have", (key for key in place_of if key not in gold_ids)),
        *named_ids("post(s) whose predicted text is not the gold text", differ),
    ]
    if problems:
        raise DataError(
            "gold and predictions are not of the same posts; predict every post of the gold file once, "
            f"with its id and text unchanged:\n{listing(problems)}"
        )
    return Pairs(gold, predicted, places)
