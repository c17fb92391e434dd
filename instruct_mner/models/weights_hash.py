"""Hash of the files of a model, by which a run that goes on knows that they are still the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

_WEIGHTS = frozenset({".safetensors"})
_SUFFIXES = _WEIGHTS | {".json", ".jinja", ".txt", ".model"}
_BLOCK = 1 << 20
# Of larger files so many blocks are read, at even distances: a training changes every one of them.
_MOST_BLOCKS = 64


def weights_hash(folder: Path, *, weights_only: bool = False) -> str | None:
    """Return a hash of weights, configs, tokenizer and template in a folder; ``None`` where there is no such folder.

    Args:
        folder: Folder of a model, of an adapter or of the heads of alignment objectives.
        weights_only: Whether the other files are left out, of which some change after a run, as by ``calibrate``.
    """
    if not folder.is_dir():
        return None
    suffixes = _WEIGHTS if weights_only else _SUFFIXES
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in suffixes:
            whole.update(f"{path.name} {path.stat().st_size}\n".encode())
            whole.update(_file_hash(path))
    return whole.hexdigest()


def _file_hash(path: Path) -> bytes:
    size = path.stat().st_size
    num_blocks = -(-size // _BLOCK)
    step = max(1, (num_blocks - 1) / (_MOST_BLOCKS - 1))
    blocks = dict.fromkeys(min(num_blocks - 1, round(number * step)) for number in range(min(num_blocks, _MOST_BLOCKS)))
    part = hashlib.blake2b()
    with path.open("rb") as file:
        for block in blocks:
            file.seek(block * _BLOCK)
            part.update(file.read(_BLOCK))
    return part.digest()
