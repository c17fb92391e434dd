"""Features of pictures on disk, by key; several processes and runs may share a folder."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import torch
from torch import Tensor

from instruct_mner.files import write_error

# Key, begin of the features in the file beside the index, number of rows and of columns, and number of the type.
_RECORD = struct.Struct("<16sQIII")
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class FeatureStore:
    """Append-only store of matrices.

    Each process appends to a pair of files of its own, features and index, and reads those of all. A record of the
    index is written after its features, so that a process that is killed leaves none that cannot be read.

    Args:
        folder: Folder of the files, which is made.
        most_bytes: Size of the features in the folder from which on nothing is added.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._most_bytes = most_bytes
        self._own = folder / uuid4().hex
        # Records of each index that are known already.
        self._read: dict[Path, int] = {}
        self._places: dict[bytes, tuple[Path, int, int, int, torch.dtype]] = {}
        self._files: dict[Path, int] = {}
        self._num_bytes = 0
        self._refresh()

    def __len__(self) -> int:
        """Return the number of matrices that are known."""
        return len(self._places)

    @property
    def num_bytes(self) -> int:
        """Size of all features that are known, in bytes."""
        return self._num_bytes

    def get(self, key: bytes) -> Tensor | None:
        """Return a matrix, or ``None`` where no process has kept it.

        Args:
            key: Key of 16 bytes.
        """
        if key not in self._places:
            self._refresh()
        if key not in self._places:
            return None
        path, begin, rows, columns, dtype = self._places[key]
        if path not in self._files:
            try:
                self._files[path] = os.open(path, os.O_RDONLY)
            except FileNotFoundError:  # the folder is removed when its run ends, and the model may be used further
                return None
        data = bytearray(rows * columns * dtype.itemsize)
        if not data:
            return torch.empty(rows, columns, dtype=dtype)
        if os.preadv(self._files[path], [data], begin) != len(data):
            return None
        return torch.frombuffer(data, dtype=dtype).view(rows, columns)

    def put(self, key: bytes, features: Tensor) -> None:
        """Keep a matrix, if there is room for it.

        Args:
            key: Key of 16 bytes.
            features: Matrix of a floating type, ``(rows, columns)``.

        Raises:
            DataError: The disk is full, or cannot be written to.
        """
        data = features.detach().cpu().contiguous()
        if data.dtype not in _DTYPES or self._num_bytes + data.nbytes > self._most_bytes or not self._folder.is_dir():
            return
        path = self._own.with_suffix(".features")
        try:
            with path.open("ab") as file:
                begin = file.tell()
                file.write(data.view(torch.uint8).numpy().tobytes())
            with self._own.with_suffix(".index").open("ab") as index:
                index.write(_RECORD.pack(key, begin, *data.shape, _DTYPES.index(data.dtype)))
        except OSError as error:
            raise write_error(path, error) from error
        self._places[key] = (path, begin, data.shape[0], data.shape[1], data.dtype)
        self._num_bytes += data.nbytes

    def _refresh(self) -> None:
        for index in sorted(self._folder.glob("*.index")):
            if index.stem != self._own.name and index.stat().st_size // _RECORD.size > self._read.get(index, 0):
                for key, begin, rows, columns, dtype in self._new_records(index):
                    if key not in self._places:
                        self._places[key] = (index.with_suffix(".features"), begin, rows, columns, _DTYPES[dtype])
                        self._num_bytes += rows * columns * _DTYPES[dtype].itemsize

    def _new_records(self, index: Path) -> Iterator[tuple[bytes, int, int, int, int]]:
        known = self._read.get(index, 0)
        with index.open("rb") as file:
            file.seek(known * _RECORD.size)
            data = file.read()
        whole = len(data) // _RECORD.size
        self._read[index] = known + whole
        yield from _RECORD.iter_unpack(data[: whole * _RECORD.size])
