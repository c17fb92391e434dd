"""Retrieval of few-shot examples: each post gets the annotated posts that are most similar to it.

The examples of a post depend on that post and on the annotated posts alone, never on other posts that are tagged. They
are ordered by the number of posts to which they are near, largest first, so that posts with common examples have a
common prompt prefix, which a server's prefix cache computes once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from instruct_mner.data.broken_pictures import with_checked_pictures
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.leaks import normalised
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError
from instruct_mner.prompting.templates import shown_text
from instruct_mner.schema.records import Example, UnnamedExample

if TYPE_CHECKING:
    from PIL.Image import Image

FloatArray = NDArray[np.float32]

# Source: Arora et al., A Simple but Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017: a / (a + p(word)).
_SMOOTHING = 1e-3
# Number of neighbours for which each annotated post votes; the votes order the examples of a prompt.
_VOTES = 10
# Number of posts that are embedded or compared at once.
_ROWS = 256


class Embedder(Protocol):
    """Maker of the vectors by which posts are compared."""

    @property
    def identity(self) -> str:
        """Name that changes whenever the vectors would change."""

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text."""

    def vectors(self, tokens: Sequence[int]) -> FloatArray:
        """Return a vector for each token, ``(tokens, width)``."""

    def pictures(self, posts: Sequence[Sequence[Image]]) -> FloatArray | None:
        """Return the mean vector of the pictures of each post, ``(posts, width)``; ``None`` from a text-only embedder.

        Rows of posts without pictures are zero.
        """


@dataclass(frozen=True)
class Pool:
    """Annotated posts from which the few-shot examples of each post are chosen.

    Attributes:
        dataset: Annotated posts; missing pictures are not compared.
        num_examples: Number of examples of each post.
    """

    dataset: Dataset
    num_examples: int

    @classmethod
    def load(cls, data: str, num_examples: int, *, with_pictures: bool = False) -> Pool:
        """Read DATA; posts without gold are left out.

        Args:
            data: DATA, a path or ``format:path``.
            num_examples: Number of examples of each post.
            with_pictures: Whether pictures are compared: those that cannot be opened then count as missing.

        Raises:
            DataError: DATA has fewer annotated posts.
        """
        dataset = load_split(data, missing_image="keep")
        if with_pictures:
            dataset = with_checked_pictures(dataset)
        annotated = tuple(post for post in dataset.examples if post.entities is not None)
        if len(annotated) < num_examples:
            raise DataError(f"--examples {data}: {num_examples} annotated posts are needed, it has {len(annotated)}")
        return cls(replace(dataset, examples=annotated), num_examples)

    def picture_paths(self, example: Example) -> list[Path]:
        """Return the files of the pictures of one of the posts, without missing ones."""
        root, missing = self.dataset.image_root, set(self.dataset.missing_images)
        return [] if root is None else [root / name for name in example.images if name not in missing]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of posts.

    Attributes:
        text: Text vectors, ``(posts, width)``, of length 1, or 0 for a post without any informative text.
        pictures: Picture vectors, ``(posts, width)``, of length 1, or 0 for a post without pictures; ``None`` where
            pictures are not compared.
    """

    text: FloatArray
    pictures: FloatArray | None

    def similarities(self, other: Vectors) -> FloatArray:
        """Return the cosine of the texts plus the cosine of the pictures, ``(posts, others)``; 0 for a missing part."""
        cosines = self.text @ other.text.T
        if self.pictures is not None and other.pictures is not None:
            cosines = cosines + self.pictures @ other.pictures.T
        return cosines


@dataclass(frozen=True, eq=False, kw_only=True)
class Index:
    """Vectors of the annotated posts, with the numbers that make other posts comparable with them.

    Attributes:
        vectors: Vectors of the annotated posts.
        text_mean: Mean text vector, ``(width,)``, which is subtracted from every text vector.
        picture_mean: Mean picture vector, ``(width,)``.
        counts: Number of occurrences of each token in the annotated posts.
        votes: Number of annotated posts that have each post among their nearest, ``(posts,)``.
    """

    vectors: Vectors
    text_mean: FloatArray
    picture_mean: FloatArray | None
    counts: Counter[int]
    votes: NDArray[np.int64]


def text_vectors(texts: Sequence[str], embedder: Embedder, counts: Counter[int]) -> FloatArray:
    """Return mean token vectors in which rare tokens have larger weights, ``(posts, width)``."""
    total = max(1, counts.total())
    rows = []
    for text in texts:
        tokens = embedder.tokens(text)
        weights = np.array([_SMOOTHING / (_SMOOTHING + counts[token] / total) for token in tokens], dtype=np.float32)
        rows.append(weights @ embedder.vectors(tokens) / max(1, len(tokens)))
    return np.stack(rows)


def unit(vectors: FloatArray) -> FloatArray:
    """Return the rows scaled to length 1; rows of zeros are kept."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-12)
    return scaled


def build_index(
    pool: Pool, embedder: Embedder, open_pictures: Callable[[Example], Sequence[Image]], special_tokens: Sequence[str]
) -> Index:
    """Embed the annotated posts.

    Args:
        pool: Annotated posts.
        embedder: Embedder of texts and pictures.
        open_pictures: Function from a post to its opened pictures, those that the model would see.
        special_tokens: Special tokens of the tokenizer.
    """
    posts = pool.dataset.examples
    texts = [shown_text(post.text, special_tokens) for post in posts]
    counts = Counter(token for text in texts for token in embedder.tokens(text))
    text = text_vectors(texts, embedder, counts)
    chunks = [
        embedder.pictures([open_pictures(post) for post in posts[start : start + _ROWS]])
        for start in range(0, len(posts), _ROWS)
    ]
    seen = [chunk for chunk in chunks if chunk is not None]
    pictures = np.concatenate(seen) if seen else None
    text_mean, picture_mean, seen_centred = _mean_of_present(text), None, None
    if pictures is not None:
        picture_mean = _mean_of_present(pictures)
        seen_centred = _centred(pictures, picture_mean)
    vectors = Vectors(_centred(text, text_mean), seen_centred)
    return Index(
        vectors=vectors, text_mean=text_mean, picture_mean=picture_mean, counts=counts, votes=_votes(vectors, posts)
    )


def _mean_of_present(vectors: FloatArray) -> FloatArray:
    present = np.any(vectors != 0, axis=1)
    mean: FloatArray = vectors[present].mean(axis=0) if present.any() else np.zeros(vectors.shape[1], np.float32)
    return mean


def _centred(vectors: FloatArray, mean: FloatArray) -> FloatArray:
    """Return the vectors less the mean, of length 1; zeros are kept, at the same distance from every post."""
    present = np.any(vectors != 0, axis=1, keepdims=True)
    return unit(np.where(present, vectors - mean, np.float32(0)))


def _votes(vectors: Vectors, posts: Sequence[Example]) -> NDArray[np.int64]:
    votes = np.zeros(len(posts), dtype=np.int64)
    numbers: dict[str, int] = {}
    keys = np.array([numbers.setdefault(key_of(post.text), len(numbers)) for post in posts])
    for start in range(0, len(posts), _ROWS):
        rows = slice(start, start + _ROWS)
        pictures = None if vectors.pictures is None else vectors.pictures[rows]
        similarities = Vectors(vectors.text[rows], pictures).similarities(vectors)
        similarities[keys[rows][:, None] == keys[None, :]] = -np.inf
        for row in nearest(similarities, _VOTES):
            votes[row] += 1
    return votes


def nearest(similarities: FloatArray, num: int) -> list[list[int]]:
    """Return the columns of the largest finite values of each row, best first; of equal values, the earlier one."""
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :num]
    return [
        [int(column) for column in row if np.isfinite(values[column])]
        for row, values in zip(order, similarities, strict=True)
    ]


def key_of(text: str) -> str:
    """Return the key of a text: letters and digits without case and URLs, or the text itself where it has none."""
    return normalised(text) or text


def _own(post: Example) -> tuple[str, ...]:
    """Return the keys that a post must not share with its examples."""
    text = f"text {key_of(post.text)}"
    return (text,) if isinstance(post, UnnamedExample) else (f"id {post.id}", text)


class Neighbours:
    """Retrieval of the few-shot examples of each post.

    Args:
        pool: Annotated posts.
        index: Index of the annotated posts, by :func:`build_index`.
        embedder: Embedder with which the index was made.
        special_tokens: Special tokens of the tokenizer.
    """

    def __init__(self, pool: Pool, index: Index, embedder: Embedder, special_tokens: Sequence[str]) -> None:
        self.pool = pool
        self._index = index
        self._embedder = embedder
        self._special_tokens = special_tokens
        self._places: dict[str, list[int]] = {}
        for place, post in enumerate(pool.dataset.examples):
            for key in _own(post):
                self._places.setdefault(key, []).append(place)
        # Rank of each annotated post in the order of examples.
        self._rank = np.argsort(np.argsort(-index.votes, kind="stable"), kind="stable")

    def choose(self, posts: Sequence[tuple[Example, Sequence[Image]]]) -> list[tuple[int, ...]]:
        """Return the examples of each post, as indices in the pool, in the order of the prompt.

        A post is never its own example: posts with its text are left out, and with its id, where it has one.

        Args:
            posts: Posts, each with the opened pictures that the model sees.
        """
        index, texts = self._index, [shown_text(post.text, self._special_tokens) for post, _ in posts]
        text = _centred(text_vectors(texts, self._embedder, index.counts), index.text_mean)
        pictures = self._embedder.pictures([images for _, images in posts])
        mean = index.picture_mean
        seen = None if pictures is None or mean is None else _centred(pictures, mean)
        similarities = Vectors(text, seen).similarities(index.vectors)
        for row, (post, _) in zip(similarities, posts, strict=True):
            row[[place for key in _own(post) for place in self._places.get(key, ())]] = -np.inf
        return [
            tuple(sorted(row, key=lambda place: int(self._rank[place])))
            for row in nearest(similarities, self.pool.num_examples)
        ]

    def order(self, chosen: Sequence[tuple[int, ...]]) -> list[int]:
        """Return an order of posts in which those with the same examples, or the same first ones, are neighbours."""
        ranks = [[int(self._rank[place]) for place in each] for each in chosen]
        return sorted(range(len(chosen)), key=lambda number: ranks[number])
