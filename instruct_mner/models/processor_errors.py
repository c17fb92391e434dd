"""Errors of image processors, in words for the owner of the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from instruct_mner.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_SIZES = 8


@contextmanager
def named_processor_errors(images: Sequence[Image], posts: str = "") -> Iterator[None]:
    """Turn an error that a processor raises in the block into one that names the sizes of the pictures.

    Args:
        images: Pictures that it is given; without any, an error is left as it is.
        posts: Words that name their posts, as " of posts '1', '2'".

    Raises:
        DataError: The processor refuses the pictures.
    """
    try:
        yield
    except (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError) as error:
        if not images:
            raise
        sizes = ", ".join(f"{image.width} x {image.height}" for image in images[:_MOST_SIZES])
        more = f" and {len(images) - _MOST_SIZES} more" if len(images) > _MOST_SIZES else ""
        raise DataError(
            f"the model's image processor refuses a picture{posts}: {error} (pictures of {sizes}{more} pixels); save "
            "it in another size, or take it out of its post"
        ) from error
