"""Ends of entities that are those of their last character: told, without surfaces, by the words that they cut."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from instruct_mner.schema.offsets import is_edge
from instruct_mner.schema.records import Example, Prediction


class InclusiveEnds:
    """A count, over a file, of the mentions that would be whole words if they ended a character later."""

    def __init__(self) -> None:
        self._num_mentions = self._num_inclusive = 0
        self._first = ""

    def look_at(self, post: Example | Prediction) -> None:
        """Count the mentions of a post whose texts were not given."""
        text = post.text
        for entity in post.entities or ():
            self._num_mentions += 1
            if entity.end < len(text) and not is_edge(text, entity.end) and is_edge(text, entity.end + 1):
                self._num_inclusive += 1
                longer = text[entity.start : entity.end + 1]
                self._first = self._first or f"{entity.text!r} for {longer!r} in post {post.id!r}"

    def problems(self, path: Path) -> list[str]:
        """Return the problem of a file of posts, where it is that of most mentions."""
        import_it = f"or let it be done: instruct-mner import {quote(str(path))} --offsets characters-inclusive"
        return [f"{problem}, {import_it}" for problem in self.problems_of_predictions(path)]

    def problems_of_predictions(self, path: Path) -> list[str]:
        """Return the problem of a file of predictions, where it is that of most mentions."""
        if 2 * self._num_inclusive <= self._num_mentions:
            return []
        return [
            f"{path}: {self._num_inclusive} of {self._num_mentions} mentions without a text cut a word by its last "
            f"character, the first is {self._first}: an end is one past the last character; add 1 to every end"
        ]
