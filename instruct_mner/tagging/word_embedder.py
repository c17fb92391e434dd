"""Embeddings of words, for the choice of few-shot examples where no model is at hand: a server gives none."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from instruct_mner.prompting.retrieval import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image


class WordEmbedder:
    """Embedder of words without case, each a dimension by its hash; pictures are not compared.

    Weighted by rarity and centred as those of a model are, this is the cosine of TF-IDF vectors.
    """

    identity = "words"
    _WIDTH = 4096

    def tokens(self, text: str) -> list[int]:
        """Return the hashes of the words of a text; of scripts without spaces (Han, kana, Thai), of its characters."""
        words = re.findall(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+", text.casefold())
        return [zlib.crc32(word.encode()) % self._WIDTH for word in words]

    def vectors(self, tokens: Sequence[int]) -> FloatArray:
        """Return a one-hot vector for each token, ``(tokens, 4096)``."""
        one_hot = np.zeros((len(tokens), self._WIDTH), dtype=np.float32)
        one_hot[np.arange(len(tokens)), tokens] = 1
        return one_hot

    def pictures(self, posts: Sequence[Sequence[Image]]) -> None:
        """Return nothing: pictures are not compared."""
