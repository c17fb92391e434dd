"""The tagger from Python: one text or many, each with its pictures."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, starmap
from pathlib import Path
from typing import ClassVar, overload

from PIL import Image

from instruct_mner.console import tracked
from instruct_mner.errors import ConfigError, MnerError
from instruct_mner.images import as_image
from instruct_mner.schema.record import HALF_CHARACTER, is_whole
from instruct_mner.schema.records import Example, Prediction, UnnamedExample, unnamed_picture
from instruct_mner.tagging.argument_values import items, no_list, shown
from instruct_mner.tagging.arguments import checked
from instruct_mner.tagging.examples import Post
from instruct_mner.tagging.predictions import Predictions
from instruct_mner.tagging.question import Labels

Picture = str | Path | bytes | Image.Image
"""A picture: the path of a file, its bytes, or an open picture."""

Pictures = Picture | Sequence[Picture] | None
"""Pictures of one text."""

GivenPost = tuple[Example, tuple[Picture, ...]]
"""A post with its pictures, as they were given."""

WINDOW = 64
"""Number of posts that are batched together; a run that was killed goes on at the beginning of such a window."""


class TextTagger(ABC):
    """Tagger of texts, with whatever finds the entities of opened posts.

    Attributes:
        texts_at_once: Number of texts without pictures, or with open ones, that are given to the engine at once. The
            engine puts texts of like length into a batch, which it does the better the more there are.
    """

    texts_at_once: ClassVar[int] = 512

    @abstractmethod
    def predict_opened(self, posts: Sequence[Post], labels: Labels | None = None) -> list[Prediction]:
        """Tag posts whose pictures are open already."""

    def _predict_given(self, posts: Sequence[GivenPost], labels: Labels | None) -> list[Prediction]:
        """Tag posts whose pictures are as they were given."""
        return self.predict_opened(list(map(_opened, posts)), labels)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a string is an iterable of strings too
        self,
        texts: str,
        images: Pictures = None,
        labels: Labels | None = None,
        *,
        threshold: float = 0.0,
        batch_size: int | None = None,
        progress: bool = True,
    ) -> Prediction: ...
    @overload
    def __call__(
        self,
        texts: Iterable[str],
        images: Iterable[Pictures] | None = None,
        labels: Labels | None = None,
        *,
        threshold: float = 0.0,
        batch_size: int | None = None,
        progress: bool = True,
    ) -> Predictions: ...
    @checked
    def __call__(
        self,
        texts: str | Iterable[str],
        images: Pictures | Iterable[Pictures] = None,
        labels: Labels | None = None,
        *,
        threshold: float = 0.0,
        batch_size: int | None = None,
        progress: bool = True,
    ) -> Prediction | Predictions:
        """Tag one text, or many.

        Args:
            texts: One text, or several.
            images: Pictures of the text, one or several; of several texts a list as long as theirs, with ``None`` or a
                missing value of pandas for those without a picture.
            labels: Names of labels, or names with definitions; needed for a model that was not tuned.
            threshold: Confidence below which entities are left out.
            batch_size: Number of texts that are given to the engine at once; by default 64, as their pictures are in
                memory together, and ``texts_at_once`` without pictures or where all of them are open already.
            progress: Whether progress is shown where it takes longer.

        Returns:
            The prediction of the one text, or those of all.

        Raises:
            MnerError: An argument is none of these, there are no labels, or one of them or a picture cannot be used.
        """
        listed = checked_texts(texts)
        pictures = checked_pictures(images, len(listed), single=isinstance(texts, str))
        in_memory = all(isinstance(picture, Image.Image) for own in pictures for picture in own)
        at_once = batch_size or (self.texts_at_once if in_memory else WINDOW)
        posts = (_post(number, text, own) for number, (text, own) in enumerate(zip(listed, pictures, strict=True)))
        predictions = self._in_batches(posts, labels, at_once)
        if progress and len(listed) > at_once:
            predictions = tracked(predictions, "tagging", len(listed))
        result = Predictions(prediction.above(threshold) for prediction in predictions)
        return result[0] if isinstance(texts, str) else result

    def _in_batches(self, posts: Iterator[GivenPost], labels: Labels | None, batch_size: int) -> Iterator[Prediction]:
        while batch := list(islice(posts, batch_size)):
            yield from self._predict_given(batch, labels)


def checked_texts(texts: object) -> list[str]:
    """Return the texts of a call.

    Raises:
        ConfigError: It is neither a text nor several.
    """
    listed = [texts] if isinstance(texts, str) else items(texts)
    if listed is None:
        raise ConfigError(f"texts are a string or a list of strings, not {shown(texts)}{no_list(texts)}")
    for number, text in enumerate(listed):
        if not isinstance(text, str):
            raise ConfigError(f"texts[{number}] is no string but {type(text).__name__}")
        if not is_whole(text):
            raise ConfigError(f"texts[{number}] {HALF_CHARACTER}")
    return [text for text in listed if isinstance(text, str)]


def checked_pictures(images: object, num_texts: int, *, single: bool) -> list[tuple[Picture, ...]]:
    """Return the pictures of each text of a call.

    Raises:
        ConfigError: They are no pictures, or not as many as texts.
    """
    if images is None:
        return [()] * num_texts
    if single:
        return [_pictures(images, "images")]
    listed = None if isinstance(images, Picture) else items(images)
    if listed is None:
        raise ConfigError(
            f"images of several texts are a list with one for each, None for none, not {type(images).__name__}"
        )
    if len(listed) != num_texts:
        raise ConfigError(f"{num_texts} texts and {len(listed)} images; give one for each text, None for none")
    return [_pictures(each, f"images[{number}]") for number, each in enumerate(listed)]


def _pictures(value: object, where: str) -> tuple[Picture, ...]:
    if value is None or _is_missing(value):
        return ()
    if isinstance(value, list | tuple):
        return tuple(_picture(each, f"{where}[{number}]") for number, each in enumerate(value))
    return (_picture(value, where),)


def _picture(value: object, where: str) -> Picture:
    if not isinstance(value, Picture):
        raise ConfigError(
            f"{where} is no path, bytes or picture but {type(value).__name__}; give the path of a file, its bytes "
            "(bytes(…), getvalue() of a stream, field 'bytes' of datasets), or a picture of Pillow (Image.fromarray(…))"
        )
    if value == "":
        raise ConfigError(f"{where} is an empty path; give the path of a file, or None for a text without a picture")
    return value


def _is_missing(value: object) -> bool:
    """Return whether a value is what pandas turns ``None`` into: not a number, or ``pandas.NA``."""
    if isinstance(value, float):
        return math.isnan(value)
    pandas = sys.modules.get("pandas")  # Not imported here: whoever holds a value of it has done so.
    return pandas is not None and value is pandas.NA


def _post(number: int, text: str, pictures: Sequence[Picture]) -> GivenPost:
    return UnnamedExample(id=str(number), text=text, images=tuple(starmap(_name, enumerate(pictures)))), tuple(pictures)


def _opened(post: GivenPost) -> Post:
    example, pictures = post
    with naming_pictures_of(example):
        return example, tuple(map(as_image, pictures))


@contextmanager
def naming_pictures_of(example: Example) -> Iterator[None]:
    """Put the place of a post, which is its id, before messages on its pictures."""
    try:
        yield
    except MnerError as error:
        raise type(error)(f"images[{example.id}]: {error}") from None


def _name(index: int, picture: Picture) -> str:
    """Return the path of a picture, or what stands for one where it is no file, or its path is no text."""
    name = str(picture) if isinstance(picture, str | Path) else ""
    return name if name and is_whole(name) else unnamed_picture(index)
