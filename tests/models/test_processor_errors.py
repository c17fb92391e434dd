from __future__ import annotations

import pytest
from PIL import Image

from instruct_mner.errors import DataError
from instruct_mner.models.processor_errors import named_processor_errors

PICTURES = [Image.new("RGB", (3, number + 1)) for number in range(10)]


def test_posts_and_sizes_are_named() -> None:
    message = r"refuses a picture of post '7': odd \(pictures of 3 x 1, .*3 x 8 and 2 more pixels\); save it"
    with pytest.raises(DataError, match=message), named_processor_errors(PICTURES, " of post '7'"):
        raise ValueError("odd")


def test_without_pictures_an_error_is_ours() -> None:
    with pytest.raises(ValueError, match="odd"), named_processor_errors([]):
        raise ValueError("odd")
