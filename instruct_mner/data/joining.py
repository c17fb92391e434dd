"""The text between two tokens: a space, or nothing in scripts that are written without spaces.

::

    张 伟 去 北 京 2 天             characters    张伟去北京2天
    张伟 去 New York               words         张伟去New York
    Anna flew to 東京              words         Anna flew to 東京
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from instruct_mner.data.bio import Joiner
from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.scripts import is_hangul, writes_no_spaces

# In a file cut into characters a few tokens are longer: addresses, numbers.
_SHARE_OF_CHARACTERS = 0.9


@dataclass(frozen=True)
class Joining:
    """Joining of the tokens of a file.

    Attributes:
        joiners: Text between the tokens, one a post.
        segmentation: ``characters`` where the tokens are single characters.
    """

    joiners: Sequence[Joiner]
    segmentation: Segmentation = "words"


@dataclass
class TokenCounts:
    """Counts of the tokens of a file, which tell how those of each of its posts are joined.

    A file of characters is joined with nothing. Elsewhere this holds where most words of the file, or all words of a
    post, are of a script without spaces, and there only beside characters of that script.

    Attributes:
        num_posts: Number of posts.
        num_tokens: Number of their tokens.
        num_single: Tokens of one character.
        num_words: Tokens with a letter.
        num_spaceless: Words of a script without spaces.
        num_scripts: Words of such a script or in Hangul.
    """

    num_posts: int = 0
    num_tokens: int = 0
    num_single: int = 0
    num_words: int = 0
    num_spaceless: int = 0
    num_scripts: int = 0

    @classmethod
    def of(cls, posts: Iterable[Sequence[str]]) -> Self:
        """Count the tokens of posts, which are read one by one."""
        counts = cls()
        for tokens in posts:
            counts._add(tokens)
        return counts

    def _add(self, tokens: Sequence[str]) -> None:
        self.num_posts += 1
        self.num_tokens += len(tokens)
        for token in tokens:
            self.num_single += len(token) == 1
            letter = _first_letter(token)
            if letter is not None:
                self.num_words += 1
                spaceless = writes_no_spaces(letter)
                self.num_spaceless += spaceless
                self.num_scripts += spaceless or is_hangul(letter)

    @property
    def segmentation(self) -> Segmentation:
        """``characters`` where the tokens are single characters."""
        # Latin words are cut into letters too, of which there may be many.
        of_script = 4 * self.num_scripts > self.num_words
        single = self.num_single >= _SHARE_OF_CHARACTERS * self.num_tokens
        return "characters" if of_script and single and self.num_tokens > self.num_posts else "words"

    def joiner(self, tokens: Sequence[str]) -> Joiner:
        """Return the text between the tokens of a post of the file."""
        if self.segmentation == "characters":
            return ""
        most = 2 * self.num_spaceless > self.num_words
        return spaceless_gaps(tokens) if most or _is_spaceless(tokens) else " "


def choose_joiners(posts: Sequence[Sequence[str]]) -> Joining:
    """Choose how the tokens of each post of a file are joined; see :class:`TokenCounts`."""
    counts = TokenCounts.of(posts)
    return Joining(list(map(counts.joiner, posts)), counts.segmentation)


def gaps_in(text: str, tokens: Sequence[str]) -> tuple[str, ...] | None:
    """Return the blanks, or nothing, between tokens as a text has them; ``None`` where it is not made of these tokens.

    Args:
        text: Text of the post, which may have blanks at its edges.
        tokens: Tokens in their order.
    """
    gaps, end = [], 0
    for token in tokens:
        start = end
        while start < len(text) and text[start].isspace():
            start += 1
        if not text.startswith(token, start):
            return None
        gaps.append(text[end:start])
        end = start + len(token)
    return None if text[end:].strip() else tuple(gaps[1:])


def spaceless_gaps(tokens: Sequence[str]) -> tuple[str, ...]:
    """Return nothing for each gap beside a character of a script without spaces or a wide sign, else a space."""
    return tuple(
        "" if _stands_close(left[-1:]) or _stands_close(right[:1]) else " " for left, right in pairwise(tokens)
    )


def _is_spaceless(tokens: Sequence[str]) -> bool:
    letters = [letter for token in tokens if (letter := _first_letter(token)) is not None]
    return bool(letters) and all(map(writes_no_spaces, letters))


def _first_letter(token: str) -> str | None:
    return next((character for character in token if character.isalpha()), None)


def _stands_close(character: str) -> bool:
    # U+3000 and on are the signs of Chinese and Japanese, U+FF00 and on the wide forms of others.
    return bool(character) and (writes_no_spaces(character) or character in "\u3001\u3002" or
                                "\u3008" <= character <= "\u3020" or "\uff00" <= character <= "\uffef")  # fmt: skip
