"""Ends of entities that are those of their last character: told, without surfaces, by the words that they cut."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from instruct_mner.schema.offsets import is_edge
from instruct_mner.schema.records import Example


class InclusiveEnds:
    """A count, over a file, of the mentions that would be whole words if they ended a character later."""

    def __init__(self) -> None:
        self._num_mentions = self._num_inclusive = 0
        self._first = ""

    def look_at(self, example: Example) -> None:
        """Count the mentions of a post whose texts were not given."""
        text = example.text
        for entity in example.entities or ():
            self._num_mentions += 1
            if entity.end < len(text) and not is_edge(text, entity.end) and is_edge(text, entity.end + 1):
                self._num_inclusive += 1
                longer = text[entity.start : entity.end + 1]
                self._first = self._first or f"{entity.text!r} for {longer!r} in post {example.id!r}"

    def problems(self, path: Path) -> list[str]:
        """Return the problem, where it is that of most mentions."""
        if 2 * self._num_inclusive <= self._num_mentions:
            return []
        return [
            f"{path}: {self._num_inclusive} of {self._num_mentions} mentions without a text cut a word by its last "
            f"character, the first is {self._first}: an end is one past the last character; add 1 to every end, or "
            f"let it be done: instruct-mner import {quote(str(path))} --offsets characters-inclusive"
        ]
