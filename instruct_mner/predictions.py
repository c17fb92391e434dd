"""Predictions of a whole file: written as they come, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from instruct_mner.errors import ConfigError
from instruct_mner.files import check_place, replacing
from instruct_mner.records import Example, Prediction

Predict = Callable[[Sequence[Example]], Iterator[Prediction]]


def fingerprint(**settings: object) -> str:
    """A hash of whatever decides the predictions."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


class PartialFile:
    """Predictions so far, in ``OUT.partial`` beside the output: a line of settings, then a line a post.

    Args:
        output: The file that will hold all of them.
        settings: Fingerprint; a partial file of other settings is not continued.

    Raises:
        ConfigError: There is a partial file of other settings.
    """

    def __init__(self, output: Path, settings: str) -> None:
        self._output = output
        self._path = output.with_name(output.name + ".partial")
        self._header = json.dumps({"settings": settings})
        self.done = self._recover()

    def _recover(self) -> list[str]:
        """Ids of the posts that are done; cuts off a line that was being written when the run was killed."""
        if not self._path.exists():
            return []
        content = self._path.read_bytes()
        if b"\n" not in content:
            self._path.unlink()  # killed before even the settings were written
            return []
        header, *lines = content[: content.rfind(b"\n")].split(b"\n")
        if header != self._header.encode():
            raise ConfigError(
                f"{self._path} is of a run with another model, input or setting; remove it, or repeat that "
                "run's settings"
            )
        try:
            ids = [Prediction.model_validate_json(line).id for line in lines]
        except ValidationError:
            raise ConfigError(f"{self._path} holds a line that is no prediction; remove the file") from None
        whole = b"".join(line + b"\n" for line in (header, *lines))
        if len(whole) < len(content):
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
        return ids

    def append(self, predictions: Iterator[Prediction]) -> Iterator[Prediction]:
        """Writes predictions down as they pass through."""
        with ExitStack() as stack:
            file = None
            for prediction in predictions:
                # Not opened before the first prediction: what fails at once leaves nothing behind.
                file = file or stack.enter_context(self._open())
                file.write(prediction.model_dump_json(exclude_none=True) + "\n")
                file.flush()
                yield prediction

    def _open(self) -> TextIO:
        """The partial file, with its settings, to be written on."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a", encoding="utf-8", newline="\n")
        if self._path.stat().st_size == 0:
            file.write(self._header + "\n")
        return file

    def finish(self) -> None:
        """Puts the whole output in its place and removes the partial file."""
        with self._path.open(encoding="utf-8", newline="\n") as partial, replacing(self._output) as file:
            next(partial)
            for line in partial:
                file.write(line)
        self._path.unlink()


def check_output(output: Path) -> None:
    """Refuses an output that cannot be written.

    Raises:
        ConfigError: It exists, is a folder, or lies where nothing can be written.
    """
    if output.is_dir():
        raise ConfigError(f"{output} is a folder; name a file")
    if output.is_file():
        raise ConfigError(f"{output} exists; choose another name or remove it")
    check_place(output)


def write_predictions(
    predict: Predict, examples: Sequence[Example], output: Path, settings: str, *, window: int = 1
) -> Iterator[Prediction | None]:
    """Tags posts into a file; a run that was killed goes on, every id exactly once, as if it had not been.

    Which posts share a batch moves the last digits of a score. So the window in which the earlier run stopped is
    tagged again as a whole, and what was written of it is kept.

    Args:
        predict: Tags posts, in their order.
        examples: All posts.
        output: The file to write, which must not exist.
        settings: :func:`fingerprint` of what decides the predictions.
        window: Posts that ``predict`` batches together.

    Yields:
        ``None`` for each post that an earlier run had done, then the new predictions.

    Raises:
        ConfigError: The output exists or cannot be written, or a partial file of other settings does.
    """
    check_output(output)
    partial = PartialFile(output, settings)
    done = set(partial.done)
    yield from (None for _ in done)
    again = examples[len(done) - len(done) % window :]
    if len(done) < len(examples):
        yield from partial.append(each for each in predict(again) if each.id not in done)
    partial.finish()
