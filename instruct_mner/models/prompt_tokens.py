"""Positions of texts and pictures in the tokens of a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from instruct_mner.models.families import token_boxes
from instruct_mner.models.token_offsets import Place, TokenText

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.models.loading import LoadedModel

# Outputs of processors with one row for each picture rather than for each post.
_PER_PICTURE = ("image_grid_thw", "image_position_ids")


class PromptTokens:
    """Finder of texts and pictures in the tokens of a model's prompts.

    Args:
        loaded: Model.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._text = TokenText(loaded.tokenizer, loaded.vocabulary_size)

    def find(self, ids: Sequence[int], positions: Sequence[int], text: str) -> Place | None:
        """Return the last place of a text; ``None`` where it is not there.

        Args:
            ids: Tokens of one post.
            positions: Positions in ``ids`` at which the text may stand; image tokens among them are passed over.
            text: Text as the chat template was given it.
        """
        image_token_id = self._loaded.image_token_id
        written = [position for position in positions if ids[position] != image_token_id]
        return self._text.sequence(ids, written).find(text)

    def image_boxes(
        self, ids: Sequence[int], sizes: Sequence[tuple[int, int]], inputs: Mapping[str, Tensor], first_picture: int = 0
    ) -> list[Tensor]:
        """Return the boxes of the image tokens of one post: ``(image_tokens, 4)`` for each picture, in 0..1.

        Args:
            ids: Tokens of the post.
            sizes: Width and height of each of its pictures.
            inputs: Batch that the processor made of this post and others.
            first_picture: Number of pictures of the posts before it in the batch.

        Raises:
            ModelError: The boxes are not as many as the image tokens.
        """
        pictures = slice(first_picture, first_picture + len(sizes))
        own = {name: inputs[name][pictures] for name in _PER_PICTURE if name in inputs}
        loaded = self._loaded
        return token_boxes(loaded.family, loaded.processor, loaded.image_token_id, ids, sizes, own)
