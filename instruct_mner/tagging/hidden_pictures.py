"""Pictures of posts that a model is not shown: more than it takes, or all where it reads text only."""

from __future__ import annotations

import warnings

from instruct_mner.errors import HiddenPicturesWarning
from instruct_mner.models.manifest import Manifest
from instruct_mner.tagging.engine_choice import reads_text_only


def most_shown(manifest: Manifest) -> int:
    """Return the largest number of pictures of a post that a model is shown."""
    return 0 if reads_text_only(manifest) else manifest.max_images


def what_is_hidden(manifest: Manifest, posts: str) -> str:
    """Return the sentence about posts with more pictures than are shown.

    Args:
        manifest: Settings of the tuning.
        posts: Words for these posts.
    """
    if reads_text_only(manifest):
        return f"{posts} have pictures, which are not shown: {manifest.family} reads text only"
    return f"{posts} have more pictures than are shown: of each the first {manifest.max_images} (max_images)"


def warn_of_hidden(manifest: Manifest, num_pictures: int) -> None:
    """Warn in Python where a post has more pictures than are shown; once, as the words are the same for each post.

    Args:
        manifest: Settings of the tuning.
        num_pictures: Largest number of pictures of a post.
    """
    if num_pictures > manifest.max_images:
        warnings.warn(what_is_hidden(manifest, "some of the posts"), HiddenPicturesWarning, stacklevel=3)
