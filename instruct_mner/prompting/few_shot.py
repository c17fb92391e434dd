"""Annotated posts that a prompt shows as examples."""

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
    """Whether the prompt shows any."""
    return isinstance(examples, Pool) or bool(examples)


def find_neighbours(pool: Pool, embedder: Embedder, max_images: int, special_tokens: Sequence[str]) -> Neighbours:
    """What chooses the examples of each post; the annotated posts are embedded once, and that is kept."""

    def open_pictures(post: Example) -> list[Image]:
        return [open_image(path) for path in pool.picture_paths(post)[:max_images]]

    index = cached_index(pool, embedder, max_images, lambda: build_index(pool, embedder, open_pictures, special_tokens))
    return Neighbours(pool, index, embedder, special_tokens)


def load_examples(data: str, num_examples: int) -> tuple[Example, ...]:
    """The first annotated posts of DATA, as examples; their pictures are not shown.

    Raises:
        DataError: There are fewer.
    """
    posts = load_split(data, missing_image="keep").examples
    chosen = tuple(post for post in posts if post.entities is not None)[:num_examples]
    if len(chosen) < num_examples:
        raise DataError(f"--examples {data}: {num_examples} annotated posts are needed, it has {len(chosen)}")
    return chosen


def shots(examples: Sequence[Example], spec: AnswerSpec, special_tokens: Sequence[str]) -> tuple[Shot, ...]:
    """Examples as the prompt shows them; errors as of :func:`check_examples`."""
    check_examples(examples, spec)
    return tuple(_shot(example, spec, special_tokens) for example in examples)


def check_examples(examples: Sequence[Example], spec: AnswerSpec) -> None:
    """Refuses examples that do not fit the labels.

    Raises:
        ConfigError: One has a label that is not asked for: the model would be shown an answer that it may not give.
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
