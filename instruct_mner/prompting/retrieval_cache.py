"""Cache of the vectors of annotated posts: a file for each set of posts and each model."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from instruct_mner.prompting.retrieval import Embedder, Index, Pool, Vectors

# Version of the vectors: to be raised whenever they would differ for the same posts and model.
_VERSION = 1


def cache_folder() -> Path:
    """Return the folder of the cache: ``$XDG_CACHE_HOME/instruct-mner/examples``, by default under ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "instruct-mner" / "examples"


def cached_index(pool: Pool, embedder: Embedder, max_images: int, build: Callable[[], Index]) -> Index:
    """Return the cached index, or build one and cache it; a cache that cannot be written is no error.

    Args:
        pool: Annotated posts.
        embedder: Embedder of texts and pictures.
        max_images: Largest number of pictures of a post that are embedded.
        build: Function that builds the index.
    """
    path = cache_folder() / f"{_key(pool, embedder, max_images)}.npz"
    try:
        return _load(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        index = build()
    try:
        _save(index, path)
    except OSError:
        path.with_suffix(f".{os.getpid()}.tmp").unlink(missing_ok=True)
    return index


def _key(pool: Pool, embedder: Embedder, max_images: int) -> str:
    dataset = pool.dataset
    digest = hashlib.sha256(f"{_VERSION} {np.__version__} {embedder.identity} {dataset.sha256} {max_images}".encode())
    for post in dataset.examples:
        for picture in pool.picture_paths(post):
            status = picture.stat()
            digest.update(f"{picture.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


def _save(index: Index, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(f".{os.getpid()}.tmp")
    arrays: dict[str, Any] = {
        "text": index.vectors.text,
        "text_mean": index.text_mean,
        "tokens": np.array(list(index.counts.keys()), dtype=np.int64),
        "counts": np.array(list(index.counts.values()), dtype=np.int64),
        "votes": index.votes,
    }
    if index.vectors.pictures is not None:
        arrays |= {"pictures": index.vectors.pictures, "picture_mean": index.picture_mean}
    with written.open("wb") as file:
        np.savez(file, **arrays)
    written.replace(path)


def _load(path: Path) -> Index:
    with np.load(path, allow_pickle=False) as kept:
        counts = Counter(dict(zip(kept["tokens"].tolist(), kept["counts"].tolist(), strict=True)))
        vectors = Vectors(kept["text"], kept.get("pictures"))
        return Index(
            vectors=vectors,
            text_mean=kept["text_mean"],
            picture_mean=kept.get("picture_mean"),
            counts=counts,
            votes=kept["votes"],
        )
