"""Few-shot examples: annotated posts inside the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.images import open_image
from instruct_mner.prompting.retrieval import Embedder, Neighbours, Pool, build_index
from instruct_mner.prompting.retrieval_cache import cached_index
from instruct_mner.prompting.templates import Shot, shown_text
from instruct_mner.schema.records import Example

if TYPE_CHECKING:
    from PIL.Image import Image


def has_examples(examples: Sequence[Example] | Pool) -> bool:
    """Return true where the prompt has few-shot examples."""
    return isinstance(examples, Pool) or bool(examples)


def find_neighbours(pool: Pool, embedder: Embedder, max_images: int, special_tokens: Sequence[str]) -> Neighbours:
    """Return the retrieval of few-shot examples; the index of the annotated posts is built once and cached.

    Args:
        pool: Annotated posts to choose from.
        embedder: Embedder of texts and pictures.
        max_images: Largest number of pictures of a post that are embedded.
        special_tokens: Special tokens of the tokenizer.
    """

    def open_pictures(post: Example) -> list[Image]:
        return [open_image(path) for path in pool.picture_paths(post)[:max_images]]

    index = cached_index(pool, embedder, max_images, lambda: build_index(pool, embedder, open_pictures, special_tokens))
    return Neighbours(pool, index, embedder, special_tokens)


def load_examples(data: str, num_examples: int) -> tuple[Example, ...]:
    """Return the first annotated posts of DATA as few-shot examples, without their pictures.

    Args:
        data: DATA, a path or ``format:path``.
        num_examples: Number of examples.

    Raises:
        DataError: DATA has fewer annotated posts.
    """
    posts = load_split(data, missing_image="keep").examples
    chosen = tuple(post for post in posts if post.entities is not None)[:num_examples]
    if len(chosen) < num_examples:
        raise DataError(f"--examples {data}: {num_examples} annotated posts are needed, it has {len(chosen)}")
    return chosen


def shots(examples: Sequence[Example], spec: AnswerSpec, special_tokens: Sequence[str]) -> tuple[Shot, ...]:
    """Return examples in the form of the prompt, with their answers.

    Args:
        examples: Annotated posts.
        spec: Form of the answers, with the labels.
        special_tokens: Special tokens of the tokenizer.

    Raises:
        ConfigError: An example has a label that is not in the label set.
    """
    check_examples(examples, spec)
    return tuple(_shot(example, spec, special_tokens) for example in examples)


def check_examples(examples: Sequence[Example], spec: AnswerSpec) -> None:
    """Refuse examples that do not fit the labels.

    Raises:
        ConfigError: An example has a label outside the label set, so its answer would not be a legal answer.
    """
    unknown = sorted({entity.label for example in examples for entity in example.gold} - set(spec.labels.names))
    if unknown:
        raise ConfigError(
            f"the examples have label(s) outside the label set: {', '.join(unknown)}; add them to --labels, or choose "
            "other examples"
        )


def _shot(example: Example, spec: AnswerSpec, special_tokens: Sequence[str]) -> Shot:
    text = shown_text(example.text, special_tokens)
    return Shot(text=text, answer=codec.render(spec, text, example.without_images().gold, num_images=0))
