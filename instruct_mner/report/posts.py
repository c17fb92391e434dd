"""Posts as the script of the page reads them: short lists, since a page may hold ten thousand of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instruct_mner.report.pictures import PagePicture, read_picture
from instruct_mner.report.summary import RunSummary
from instruct_mner.schema.records import Box, Entity, Example, PredictedEntity, Prediction
from instruct_mner.scoring.outcomes import Outcome

OUTCOMES = tuple(Outcome)
_NOT_ANNOTATED, _NOT_VISIBLE, _VISIBLE = range(3)


@dataclass(frozen=True, kw_only=True)
class PagePosts:
    """Posts of the page.

    Attributes:
        labels: Names of the types, which posts number.
        posts: Values of each post, for JSON.
        pictures: Data URIs of pictures of some posts, by the number of the post and that of the picture in the post.
        num_named: Number of pictures that the posts name.
        num_missing: Number of these that have no file.
        num_unreadable: Number of pictures that were to be shown and cannot be opened.
    """

    labels: tuple[str, ...]
    posts: tuple[dict[str, object], ...]
    pictures: dict[int, dict[int, str]]
    num_named: int
    num_missing: int
    num_unreadable: int

    @property
    def num_shown(self) -> int:
        """Number of pictures inside the page."""
        return sum(map(len, self.pictures.values()))


def page_posts(
    examples: Sequence[Example],
    runs: Sequence[RunSummary],
    predictions: Sequence[Sequence[Prediction]],
    paths: Sequence[Sequence[Path | None]],
    *,
    most_pictures: int,
) -> PagePosts:
    """Return the posts with their entities, and pictures for some of them.

    Args:
        examples: Annotated posts.
        runs: Numbers of each prediction file.
        predictions: Predictions of each file, in the order of the posts.
        paths: Files of the pictures that each post names; ``None`` where there is none.
        most_pictures: Largest number of pictures inside the page; posts with an error come first.
    """
    labels = tuple(sorted({each.label for entities in _all(examples, predictions) for each in entities}))
    shown, num_unreadable = _pictures(runs, paths, most_pictures)
    writer = _Writer(labels)
    posts: tuple[dict[str, object], ...] = tuple(
        {
            "i": example.id,
            "t": example.text,
            "g": [writer.gold(each, shown.get(number, {})) for each in example.gold],
            "r": [
                writer.run(run, predicted[number], number, shown.get(number, {}))
                for run, predicted in zip(runs, predictions, strict=True)
            ],
            **({"p": len(paths[number])} if paths[number] else {}),
        }
        for number, example in enumerate(examples)
    )
    return PagePosts(
        labels=labels,
        posts=posts,
        pictures={
            number: {place: picture.source for place, picture in of_post.items()} for number, of_post in shown.items()
        },
        num_named=sum(map(len, paths)),
        num_missing=sum(path is None for of_post in paths for path in of_post),
        num_unreadable=num_unreadable,
    )


def _all(examples: Sequence[Example], predictions: Sequence[Sequence[Prediction]]) -> Iterator[Sequence[Entity]]:
    yield from (example.gold for example in examples)
    yield from (prediction.entities for run in predictions for prediction in run)


def _pictures(
    runs: Sequence[RunSummary], paths: Sequence[Sequence[Path | None]], most: int
) -> tuple[dict[int, dict[int, PagePicture]], int]:
    """Return the pictures to show, by post and place in the post, and the number of those that cannot be opened."""

    def is_right(number: int) -> bool:
        return all(pair.outcome == Outcome.RIGHT for run in runs for pair in run.pairs[number])

    shown: dict[int, dict[int, PagePicture]] = {}
    num_unreadable = 0
    for number in sorted(range(len(paths)), key=is_right):
        for place, path in enumerate(paths[number]):
            if path is None or most == 0:
                continue
            picture = read_picture(path)
            if picture is None:
                num_unreadable += 1
            else:
                shown.setdefault(number, {})[place] = picture
                most -= 1
    return shown, num_unreadable


class _Writer:
    """Writer of entities as lists: start, end, type, visibility, boxes; predicted ones with percent and outcome."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = {label: index for index, label in enumerate(labels)}

    def gold(self, entity: Entity, pictures: Mapping[int, PagePicture]) -> list[Any]:
        """Return a gold entity."""
        return self._entity(entity, pictures)

    def run(
        self, run: RunSummary, prediction: Prediction, number: int, pictures: Mapping[int, PagePicture]
    ) -> list[Any]:
        """Return what one run predicts of a post: its entities, outcomes of the gold, number of rejected items."""
        pairs = run.pairs[number]
        outcomes = {_key(pair.predicted): OUTCOMES.index(pair.outcome) for pair in pairs if pair.predicted}
        of_gold = {_key(pair.gold): OUTCOMES.index(pair.outcome) for pair in pairs if pair.gold}
        entities = [
            [*self._entity(each, pictures), _percent(each), outcomes[_key(each)]] for each in prediction.entities
        ]
        return [entities, [of_gold[key] for key in sorted(of_gold)], prediction.rejected.total]

    def _entity(self, entity: Entity, pictures: Mapping[int, PagePicture]) -> list[Any]:
        states: dict[tuple[Box, ...] | None, int] = {None: _NOT_ANNOTATED, (): _NOT_VISIBLE}
        visible = states.get(entity.boxes, _VISIBLE)
        return [entity.start, entity.end, self._labels[entity.label], visible, _places(entity.boxes, pictures)]


def _key(entity: Entity) -> tuple[int, int]:
    return entity.start, entity.end


def _percent(entity: PredictedEntity) -> int:
    # Down, so that nothing but a confidence of 1 is shown as 100.
    return int(100 * entity.score)


def _places(boxes: Sequence[Box] | None, pictures: Mapping[int, PagePicture]) -> list[list[float]]:
    return [[box.image, *pictures[box.image].place(box)] for box in boxes or () if box.image in pictures]
