"""Output of predictions: written one by one, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import islice, zip_longest
from pathlib import Path
from typing import Generic, TextIO, TypeVar

from pydantic import ValidationError

from instruct_mner.data.conversion import check_output_file
from instruct_mner.data.parquet import is_parquet
from instruct_mner.data.prediction_parquet import write_table
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.files import check_place, replacing, stream_lines, write_error
from instruct_mner.schema.record import Record
from instruct_mner.schema.records import Example, Prediction

# Names of a file of lines of JSON; none where it is a pipe, a device, or has no name to go by.
_SUFFIXES = frozenset({".jsonl", ".ndjson", ".jl", ""})

Made = TypeVar("Made", bound=Record)
Predict = Callable[[int], Iterator[Prediction]]
"""Function that tags the posts from a given one on, counted from 0, in their order."""

Arrange = Callable[[Iterator[str]], Iterable[str]]
"""Function that returns the lines of an output in another order."""


def fingerprint(**settings: object) -> str:
    """Return a hash of the settings that decide the predictions."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


class PartialFile(Generic[Made]):
    """File ``OUT.partial`` beside the output, with the records so far: a line of settings, then a line for each post.

    Args:
        output: File that will hold all records.
        settings: Fingerprint of the settings; a partial file of other settings is not continued.
        record: Type of the records.

    Raises:
        ConfigError: There is a partial file of other settings.
    """

    def __init__(self, output: Path, settings: str, record: type[Made]) -> None:
        self._record = record
        self._output = output
        self._path = output.with_name(output.name + ".partial")
        self._header = json.dumps({"settings": settings})
        self.num_done = self._recover()

    def _recover(self) -> int:
        """Return the number of posts that are done, and cut off a line that was not written to its end."""
        if not self._path.exists():
            return 0
        whole = num_lines = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._check(line.removesuffix(b"\n"), num_lines)
                num_lines += 1
                whole += len(line)
        if num_lines == 0:
            self._path.unlink()  # killed before even the settings were written
            return 0
        if whole < self._path.stat().st_size:
            os.truncate(self._path, whole)
        return num_lines - 1

    def _check(self, line: bytes, number: int) -> None:
        if number == 0 and line != self._header.encode():
            raise ConfigError(
                f"{self._path} is of a run with another model, input or setting; remove it, or repeat that "
                "run's settings"
            )
        try:
            if number > 0:
                self._record.model_validate_json(line)
        except ValidationError:
            raise ConfigError(
                f"{self._path} holds a line that is no {self._record.__name__.lower()}; remove the file"
            ) from None

    def append(self, records: Iterator[Made]) -> Iterator[Made]:
        """Write records to the file as they pass through."""
        with ExitStack() as stack:
            file = None
            for record in records:
                # Not opened before the first one: what fails at once leaves nothing behind.
                file = file or stack.enter_context(self._open())
                self._write(file, record)
                yield record

    def _write(self, file: TextIO, record: Made) -> None:
        try:
            file.write(record.model_dump_json(exclude_none=True) + "\n")
            file.flush()
        except OSError as error:
            with suppress(OSError):  # it would fail again
                file.close()
            raise write_error(self._path, error) from None

    def _open(self) -> TextIO:
        """Open the partial file for more records, below its settings."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a", encoding="utf-8", newline="\n")
        if self._path.stat().st_size == 0:
            file.write(self._header + "\n")
        return file

    def finish(self, posts: Iterable[Example] | None = None, arrange: Arrange | None = None) -> None:
        """Write the output, JSONL or Parquet by its suffix, and remove the partial file.

        Args:
            posts: Posts that the records must be of, in their order; ``None``: they are not compared.
            arrange: Function that puts the lines into another order.

        Raises:
            DataError: A record is missing, is there twice, or is of another post; or the output cannot be written.
        """
        lines = (line.text for line in stream_lines(self._path))
        next(lines)
        counted = lines if posts is None else self._compared(lines, posts)
        if arrange is not None:
            counted = iter(arrange(counted))
        if is_parquet(self._output):
            write_table((Prediction.model_validate_json(line) for line in counted), self._output)
        else:
            with replacing(self._output) as file:
                file.writelines(f"{line}\n" for line in counted)
        self._path.unlink()

    def _compared(self, lines: Iterator[str], posts: Iterable[Example]) -> Iterator[str]:
        """Return the same lines, each of which must be of the post in its place."""
        for number, (line, post) in enumerate(zip_longest(lines, posts), start=1):
            record = None if line is None else self._record.model_validate_json(line)
            made = None if record is None else (getattr(record, "id", None), getattr(record, "text", None))
            if post is None or made != (post.id, post.text):
                has = "no line" if made is None else f"{made[0]!r}"
                wanted = "no post any more" if post is None else f"{post.id!r}"
                raise DataError(
                    f"{self._path}: record {number} is {has}, the data has {wanted} there; the data changed meanwhile, "
                    "or the file was changed: remove it, and run the command again"
                )
            yield line


def check_output(output: Path) -> None:
    """Refuse an output that cannot be written.

    Raises:
        ConfigError: It exists, is a folder, lies where nothing can be written, or is named as another format.
    """
    check_output_file(output)
    if not is_parquet(output) and output.suffix.lower() not in _SUFFIXES and not output.exists():
        raise ConfigError(
            f"{output}: predictions are written as JSONL (.jsonl) or Parquet (.parquet); name it so, and make a "
            f"{output.suffix} of it by 'instruct-mner convert'"
        )
    check_place(output)


def write_predictions(
    predict: Predict,
    num_posts: int,
    output: Path,
    settings: str,
    *,
    window: int = 1,
    posts: Callable[[], Iterable[Example]] | None = None,
    arrange: Arrange | None = None,
) -> Iterator[Prediction | None]:
    """Tag posts into a file, Parquet where it is named so, else JSONL; see :func:`write_records`."""
    return write_records(
        predict, num_posts, output, settings, record=Prediction, window=window, posts=posts, arrange=arrange
    )


def write_records(
    make: Callable[[int], Iterator[Made]],
    num_posts: int,
    output: Path,
    settings: str,
    *,
    record: type[Made],
    window: int = 1,
    posts: Callable[[], Iterable[Example]] | None = None,
    arrange: Arrange | None = None,
) -> Iterator[Made | None]:
    """Write a record of each post to a file; a run that was killed goes on, every post exactly once.

    It goes on as if it had not been killed. Which posts share a batch moves the last digits of a score. So the window
    in which the earlier run stopped is gone through again as a whole, and what was written of it is kept.

    Args:
        make: Function that makes the records of the posts from a given one on, counted from 0, in their order.
        num_posts: Number of all posts.
        output: File to write, which must not exist.
        settings: Fingerprint of the settings (:func:`fingerprint`).
        record: Type of the records.
        window: Number of posts that are batched together.
        posts: Function that reads the posts again, with which the records are compared in the end.
        arrange: Function that puts the lines of the output into another order.

    Yields:
        ``None`` for each post that an earlier run had done, then the new records.

    Raises:
        ConfigError: The output exists or cannot be written, or a partial file of other settings does.
        DataError: The records are not those of the posts, each once.
    """
    check_output(output)
    partial = PartialFile(output, settings, record)
    num_done = partial.num_done
    yield from (None for _ in range(num_done))
    if num_done < num_posts:
        again = num_done % window
        yield from partial.append(islice(make(num_done - again), again, None))
    partial.finish(None if posts is None else posts(), arrange)
