"""Few-shot examples of the posts to tag: the same for all, or the nearest of a pool for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.prompting.few_shot import check_examples, find_neighbours, shots
from instruct_mner.prompting.retrieval import Embedder, Neighbours, Pool
from instruct_mner.prompting.templates import Shot
from instruct_mner.schema.records import Example

if TYPE_CHECKING:
    from PIL.Image import Image

Post = tuple[Example, tuple["Image", ...]]
"""A post with its pictures, opened."""


class ExampleSelector(Protocol):
    """Selector of the few-shot examples of posts."""

    def check(self, spec: AnswerSpec) -> None:
        """Refuse examples whose labels are not in the label set.

        Raises:
            ConfigError: One has another label.
        """

    def select(self, posts: Sequence[Post], spec: AnswerSpec) -> tuple[list[tuple[Shot, ...]], list[int]]:
        """Return the examples of each post, and the order in which the posts are best sent to the engine."""


def example_selector(
    examples: Sequence[Example] | Pool, embedder: Embedder, max_images: int, special_tokens: Sequence[str]
) -> ExampleSelector:
    """Return the selector of given examples, or of the nearest in a pool.

    Args:
        examples: Annotated posts that all prompts show, or the pool of which each prompt shows the nearest.
        embedder: Embedder by which posts are compared.
        max_images: Number of pictures of a post that are compared.
        special_tokens: Special tokens of the tokenizer, which are neutralised in posts.
    """
    if isinstance(examples, Pool):
        return _NearestExamples(find_neighbours(examples, embedder, max_images, special_tokens), special_tokens)
    return SameExamples(tuple(examples), special_tokens)


@dataclass(frozen=True)
class SameExamples:
    """Examples that the prompts of all posts show.

    Attributes:
        examples: Annotated posts.
        special_tokens: Special tokens of the tokenizer, which are neutralised in them.
    """

    examples: tuple[Example, ...]
    special_tokens: Sequence[str]

    def check(self, spec: AnswerSpec) -> None:
        """Leave the check to :meth:`select`, which makes it for every batch."""

    def select(self, posts: Sequence[Post], spec: AnswerSpec) -> tuple[list[tuple[Shot, ...]], list[int]]:
        """Return the same examples for every post, in the order of the posts."""
        return [shots(self.examples, spec, self.special_tokens)] * len(posts), list(range(len(posts)))


@dataclass(frozen=True)
class _NearestExamples:
    """Examples of each post: the nearest of a pool."""

    neighbours: Neighbours
    special_tokens: Sequence[str]

    def check(self, spec: AnswerSpec) -> None:
        """Refuse a pool with labels outside of the label set."""
        check_examples(self.neighbours.pool.dataset.examples, spec)

    def select(self, posts: Sequence[Post], spec: AnswerSpec) -> tuple[list[tuple[Shot, ...]], list[int]]:
        """Return the nearest examples of each post; posts with the same examples follow each other."""
        pool = self.neighbours.pool.dataset.examples
        chosen = self.neighbours.choose(posts)
        selected = [shots([pool[place] for place in places], spec, self.special_tokens) for places in chosen]
        return selected, self.neighbours.order(chosen)
