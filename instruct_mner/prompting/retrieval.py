"""Few-shot by similarity: of many annotated posts, each post is shown those that are most like it.

The examples of a post depend on that post and on the annotated posts alone, never on what else is tagged. They stand
in the order of how many posts they are near to, the most wanted first, so that posts which share examples share the
beginning of their prompts, which a server's prefix cache computes once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.leaks import normalised
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError
from instruct_mner.prompting.templates import shown_text
from instruct_mner.schema.records import Example

if TYPE_CHECKING:
    from PIL.Image import Image

FloatArray = NDArray[np.float32]

# Source: Arora et al., A Simple but Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017: a / (a + p(word)).
_SMOOTHING = 1e-3
# How many neighbours each annotated post votes for, when they are put into an order.
_VOTES = 10
_ROWS = 256


class Embedder(Protocol):
    """What posts are compared by."""

    @property
    def identity(self) -> str:
        """Changes whenever its vectors would."""

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text."""

    def vectors(self, tokens: Sequence[int]) -> FloatArray:
        """A vector a token, ``(tokens, width)``."""

    def pictures(self, posts: Sequence[Sequence[Image]]) -> FloatArray | None:
        """The mean vector of the pictures of each post, ``(posts, width)``, zeros without; ``None``: it sees none."""


@dataclass(frozen=True)
class Pool:
    """Annotated posts, of which each post is shown the nearest.

    Attributes:
        dataset: The posts; pictures that are not there are not compared.
        num_examples: How many each post is shown.
    """

    dataset: Dataset
    num_examples: int

    @classmethod
    def load(cls, data: str, num_examples: int) -> Pool:
        """Reads DATA; posts without gold are left out.

        Raises:
            DataError: Fewer are annotated.
        """
        dataset = load_split(data, missing_image="keep")
        annotated = tuple(post for post in dataset.examples if post.entities is not None)
        if len(annotated) < num_examples:
            raise DataError(f"--examples {data}: {num_examples} annotated posts are needed, it has {len(annotated)}")
        return cls(replace(dataset, examples=annotated), num_examples)

    def picture_paths(self, example: Example) -> list[Path]:
        """Where those pictures of one of its posts lie that are there."""
        root, missing = self.dataset.image_root, set(self.dataset.missing_images)
        return [] if root is None else [root / name for name in example.images if name not in missing]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Posts as vectors.

    Attributes:
        text: ``(posts, width)``, of length 1, or 0 where a post has no text that says anything.
        pictures: ``(posts, width)``, of length 1, or 0 without pictures; ``None`` where pictures are not compared.
    """

    text: FloatArray
    pictures: FloatArray | None

    def similarities(self, other: Vectors) -> FloatArray:
        """``(posts, others)``: cosine of the texts and cosine of the pictures, added; 0 for what a post has not."""
        found = self.text @ other.text.T
        if self.pictures is not None and other.pictures is not None:
            found = found + self.pictures @ other.pictures.T
        return found


@dataclass(frozen=True, eq=False)
class Index:
    """The annotated posts as vectors, and what makes others comparable with them.

    Attributes:
        vectors: Of the annotated posts.
        text_mean: ``(width,)``, taken from every text; what all posts have in common says nothing.
        picture_mean: The same of pictures.
        counts: How often each token stands in the annotated posts.
        votes: ``(posts,)``, of how many annotated posts each is one of the nearest.
    """

    vectors: Vectors
    text_mean: FloatArray
    picture_mean: FloatArray | None
    counts: Counter[int]
    votes: NDArray[np.int64]


def text_vectors(texts: Sequence[str], embedder: Embedder, counts: Counter[int]) -> FloatArray:
    """Mean token vectors, the rarer a token the heavier, ``(posts, width)``."""
    total = max(1, counts.total())
    rows = []
    for text in texts:
        tokens = embedder.tokens(text)
        weights = np.array([_SMOOTHING / (_SMOOTHING + counts[token] / total) for token in tokens], dtype=np.float32)
        rows.append(weights @ embedder.vectors(tokens) / max(1, len(tokens)))
    return np.stack(rows)


def unit(vectors: FloatArray) -> FloatArray:
    """Rows of length 1; rows of zeros stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: FloatArray = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-12)
    return found


def build_index(
    pool: Pool, embedder: Embedder, open_pictures: Callable[[Example], Sequence[Image]], special_tokens: Sequence[str]
) -> Index:
    """Embeds the annotated posts.

    Args:
        pool: The posts.
        embedder: What they are compared by.
        open_pictures: The pictures of a post, those that the model would be shown.
        special_tokens: See :func:`~instruct_mner.prompting.templates.shown_text`.
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
    return Index(vectors, text_mean, picture_mean, counts, _votes(vectors, posts))


def _mean_of_present(vectors: FloatArray) -> FloatArray:
    present = np.any(vectors != 0, axis=1)
    mean: FloatArray = vectors[present].mean(axis=0) if present.any() else np.zeros(vectors.shape[1], np.float32)
    return mean


def _centred(vectors: FloatArray, mean: FloatArray) -> FloatArray:
    """Of length 1 around the mean; a post without any stays at 0, as near to one as to any other."""
    present = np.any(vectors != 0, axis=1, keepdims=True)
    return unit(np.where(present, vectors - mean, np.float32(0)))


def _votes(vectors: Vectors, posts: Sequence[Example]) -> NDArray[np.int64]:
    votes = np.zeros(len(posts), dtype=np.int64)
    numbers: dict[str, int] = {}
    keys = np.array([numbers.setdefault(key_of(post.text), len(numbers)) for post in posts])
    for start in range(0, len(posts), _ROWS):
        rows = slice(start, start + _ROWS)
        pictures = None if vectors.pictures is None else vectors.pictures[rows]
        found = Vectors(vectors.text[rows], pictures).similarities(vectors)
        found[keys[rows][:, None] == keys[None, :]] = -np.inf
        for row in nearest(found, _VOTES):
            votes[row] += 1
    return votes


def nearest(similarities: FloatArray, num: int) -> list[list[int]]:
    """Columns of the largest values of each row, best first, the earlier of equals; never one of minus infinity."""
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :num]
    return [
        [int(column) for column in row if np.isfinite(values[column])]
        for row, values in zip(order, similarities, strict=True)
    ]


def key_of(text: str) -> str:
    """What makes two texts one: letters and digits without case and URLs, or the text itself where it has none."""
    return normalised(text) or text


def _own(post: Example) -> tuple[str, str]:
    """What a post must not share with its examples."""
    return f"id {post.id}", f"text {key_of(post.text)}"


class Neighbours:
    """Chooses the examples of each post.

    Args:
        pool: The annotated posts.
        index: What :func:`build_index` made of them.
        embedder: The embedder that it was made with.
        special_tokens: See :func:`~instruct_mner.prompting.templates.shown_text`.
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
        # The place of each in the order in which examples are shown.
        self._rank = np.argsort(np.argsort(-index.votes, kind="stable"), kind="stable")

    def choose(self, posts: Sequence[tuple[Example, Sequence[Image]]]) -> list[tuple[int, ...]]:
        """The examples of each post, as places in the pool, in the order in which they are shown.

        A post is never its own example: whatever has its id or its text is left out.

        Args:
            posts: Each with the pictures that it is shown with.
        """
        index, texts = self._index, [shown_text(post.text, self._special_tokens) for post, _ in posts]
        text = _centred(text_vectors(texts, self._embedder, index.counts), index.text_mean)
        pictures = self._embedder.pictures([images for _, images in posts])
        mean = index.picture_mean
        seen = None if pictures is None or mean is None else _centred(pictures, mean)
        found = Vectors(text, seen).similarities(index.vectors)
        for row, (post, _) in zip(found, posts, strict=True):
            row[[place for key in _own(post) for place in self._places.get(key, ())]] = -np.inf
        return [
            tuple(sorted(row, key=lambda place: int(self._rank[place])))
            for row in nearest(found, self.pool.num_examples)
        ]

    def order(self, chosen: Sequence[tuple[int, ...]]) -> list[int]:
        """Places of posts, so that those with the same examples, or the same first ones, are neighbours."""
        ranks = [[int(self._rank[place]) for place in each] for each in chosen]
        return sorted(range(len(chosen)), key=lambda number: ranks[number])
