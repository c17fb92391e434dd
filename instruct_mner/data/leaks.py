"""Posts that are trained on and evaluated on: the published sets share thousands, so each split is checked.

Training data of GMNER hold 1563 of the 3257 test posts of Twitter-2015, under the same picture ids. Some posts stand
under two ids, so texts and pictures are compared too.

Source: counted on the published files; the ids of all Twitter sets are the names of their pictures.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from instruct_mner.data.dataset import Dataset
from instruct_mner.errors import DataError, listing
from instruct_mner.files import read_bytes
from instruct_mner.schema.choices import LeakPolicy
from instruct_mner.schema.offsets import is_word_character
from instruct_mner.schema.records import Example

_URL = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class Leak:
    """Posts that two splits share. Each post is counted once: by its id, else by its text, else by a picture.

    Attributes:
        trained: Name of the split that is trained on.
        evaluated: Name of the one that is evaluated on.
        num_posts: Posts of the former.
        num_by_id: Posts among them whose id stands in the latter.
        num_same_text: Posts among those whose text is the same too; few of many mean that ids are equal by accident.
        num_by_text: Posts whose text stands there under another id.
        num_by_picture: Posts of which only a picture stands there.
        num_pictures: Pictures of the latter that were there to be compared with.
        leaking: Positions of all these posts.
    """

    trained: str
    evaluated: str
    num_posts: int
    num_by_id: int
    num_same_text: int
    num_by_text: int
    num_by_picture: int
    num_pictures: int
    leaking: frozenset[int]

    def __str__(self) -> str:
        """Return the leak in one line."""
        return (
            f"{self.trained}: {len(self.leaking)} of {self.num_posts} posts stand in {self.evaluated}: "
            f"{self.num_by_id} by id ({self.num_same_text} with the same text), {self.num_by_text} by text under "
            f"another id, {self.num_by_picture} by picture alone ({self.num_pictures} pictures compared)"
        )


@dataclass(frozen=True)
class Guarded:
    """Splits that may be trained on.

    Attributes:
        datasets: The splits, without the posts that were dropped.
        overlaps: Overlap of each split with each evaluation split; most share nothing.
        leaked: Overlaps that are trained on nevertheless, because leaks are allowed.
    """

    datasets: tuple[Dataset, ...]
    overlaps: tuple[Leak, ...]
    leaked: tuple[str, ...]


def guard(trained: Sequence[Dataset], evaluated: Sequence[Dataset], policy: LeakPolicy) -> Guarded:
    """Compare every split that is trained on, or that chooses a checkpoint, with every one that is evaluated on.

    Args:
        trained: The former.
        evaluated: The latter.
        policy: ``refuse``: a leak is an error; ``drop``: posts that leak are left out; ``allow``: they stay.

    Raises:
        DataError: There are leaks, and they are refused; or nothing is left.
    """
    references = [_Reference.of(dataset) for dataset in evaluated]
    kept: list[Dataset] = []
    every_leak: list[Leak] = []
    for dataset in trained:
        leaks = _find_leaks(dataset, references)
        leaking = frozenset[int]().union(*(leak.leaking for leak in leaks))
        every_leak += leaks
        posts = [post for number, post in enumerate(dataset.examples) if policy != "drop" or number not in leaking]
        if not posts and dataset.examples:
            raise DataError(
                f"{dataset.path}: no post is left when those of the evaluation sets are dropped; train on other data"
            )
        kept.append(replace(dataset, examples=tuple(posts)))
    lines = tuple(str(leak) for leak in every_leak if leak.leaking)
    if lines and policy == "refuse":
        raise DataError(
            f"posts would be trained on that stand in an evaluation set:\n{listing(lines)}\n"
            "--leaks drop (data.leaks) leaves them out; --leaks allow keeps them, and stamps LEAKED on what comes of it"
        )
    return Guarded(tuple(kept), tuple(every_leak), lines if policy == "allow" else ())


def shown_name(dataset: Dataset) -> str:
    """Return the name of a published set, or else that of the file."""
    return dataset.known or dataset.name


def normalised(text: str) -> str:
    """Return what two spellings of a post have in common: its letters and digits, without case and without URLs.

    Tokenisations of one post differ in spaces (``@ user``, ``@user``), and copies in the URLs that are left.
    """
    text = _URL.sub("", unicodedata.normalize("NFKC", text).casefold())
    return "".join(filter(is_word_character, text))


@dataclass(frozen=True)
class _Reference:
    """An evaluation split, to be compared with."""

    name: str
    texts_by_id: dict[str, str]
    texts: frozenset[str]
    pictures: frozenset[str]

    @classmethod
    def of(cls, dataset: Dataset) -> _Reference:
        texts = {example.id: normalised(example.text) for example in dataset.examples}
        pictures = _picture_hashes(dataset)
        return cls(
            name=shown_name(dataset),
            texts_by_id=texts,
            texts=frozenset(texts.values()) - {""},
            pictures=frozenset[str]().union(*map(pictures, dataset.examples)),
        )


def _find_leaks(dataset: Dataset, references: Sequence[_Reference]) -> list[Leak]:
    """Find the posts that a split shares with each of the others."""
    texts = [normalised(example.text) for example in dataset.examples]
    pictures = _picture_hashes(dataset)
    return [_leak(dataset, texts, pictures, reference) for reference in references]


def _leak(
    dataset: Dataset, texts: Sequence[str], pictures: Callable[[Example], frozenset[str]], reference: _Reference
) -> Leak:
    same_text, by_id, by_text, by_picture = set(), set(), set(), set()
    for number, (example, text) in enumerate(zip(dataset.examples, texts, strict=True)):
        if example.id in reference.texts_by_id:
            by_id.add(number)
            if text == reference.texts_by_id[example.id]:
                same_text.add(number)
        elif text in reference.texts:
            by_text.add(number)
        elif reference.pictures and not reference.pictures.isdisjoint(pictures(example)):
            by_picture.add(number)
    return Leak(
        trained=shown_name(dataset),
        evaluated=reference.name,
        num_posts=len(dataset.examples),
        num_by_id=len(by_id),
        num_same_text=len(same_text),
        num_by_text=len(by_text),
        num_by_picture=len(by_picture),
        num_pictures=len(reference.pictures),
        leaking=frozenset(by_id | by_text | by_picture),
    )


def _picture_hashes(dataset: Dataset) -> Callable[[Example], frozenset[str]]:
    """Return a function that hashes the pictures of a post; each file is read once, when it is needed first."""
    hashes: dict[str, str] = {}
    missing = frozenset(dataset.missing_images)

    def hashes_of(example: Example) -> frozenset[str]:
        root = dataset.image_root
        there = [] if root is None else [(name, root / name) for name in example.images if name not in missing]
        for name, path in there:
            if name not in hashes:
                hashes[name] = hashlib.sha256(read_bytes(path)).hexdigest()
        return frozenset(hashes[name] for name, _ in there)

    return hashes_of
