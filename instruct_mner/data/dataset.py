"""A data set: one split, which is one file, with the place of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from instruct_mner.data.known import known_name
from instruct_mner.data.missing_pictures import missing_report, none_left
from instruct_mner.data.picture_files import find_picture
from instruct_mner.errors import ConfigError, DataError, shortened
from instruct_mner.schema.choices import Decode, LabelColumn, MissingImage, Offsets, Segmentation
from instruct_mner.schema.packed import pack
from instruct_mner.schema.records import Example


@dataclass(frozen=True)
class Dataset:
    """One split.

    Attributes:
        name: Folder and split, ``twitter2015/test``.
        format: The reader that made it, a key of ``FORMATS``; ``fmnerg-coarse`` or ``fmnerg-fine`` for FMNERG.
        path: File of the split.
        sha256: Hash of all that the gold was made from: the file; for FMNERG the column that was chosen; for sets with
            boxes the XML files of its posts, in their order.
        examples: The posts, in the order of the file.
        image_root: Folder of ``Example.images``; ``None`` where no folder of pictures was found.
        missing_images: Names of the pictures that are not there, or cannot be opened where that was tried, whatever
            was done about them.
        file_sha256: Hash of the file alone, where ``sha256`` covers more.
        segmentation: ``characters`` where the tokens are the characters of the text.
        content_sha256: Hash of ids, texts, entities and boxes, whatever the format; see ``known``.
        text_sha256: The same without the boxes.
        notes: Further lines for the user: what was left out, what no answer can say.
        pictures_sha256: Hash of the contents of the pictures, where they have been opened.
    """

    name: str
    format: str
    path: Path
    sha256: str
    examples: Sequence[Example]
    image_root: Path | None = None
    missing_images: tuple[str, ...] = ()
    file_sha256: str | None = None
    segmentation: Segmentation = "words"
    content_sha256: str | None = None
    text_sha256: str | None = None
    notes: tuple[str, ...] = ()
    pictures_sha256: str | None = None

    @property
    def known(self) -> str | None:
        """The name of a published set, told by its content: ``Twitter-2015 (original labels), test``; else ``None``."""
        return known_name(self.content_sha256, self.text_sha256)

    def picture_paths(self, example: Example) -> tuple[Path, ...]:
        """Return the files of the pictures of a post, in the order of ``Example.images``.

        Raises:
            DataError: The post names pictures, but no folder of pictures is known.
        """
        if not example.images:
            return ()
        if self.image_root is None:
            raise DataError(f"post {example.id!r} of {self.path} names pictures, but no folder of them was found")
        return tuple(find_picture(self.image_root, name) or self.image_root / name for name in example.images)

    def without_missing(self, how: MissingImage) -> Dataset:
        """Return the split after posts whose pictures are missing were treated.

        Args:
            how: ``text``: such a post is kept as text; ``skip``: it is left out; ``keep``: it stays as it is
                annotated, for work that opens no picture; ``error``: as ``keep``, because whoever calls this
                has asked ``missing_report`` before.

        Raises:
            DataError: No post is left.
        """
        if how in {"error", "keep"} or not self.missing_images:
            return self
        missing = set(self.missing_images)
        kept = (
            example if missing.isdisjoint(example.images) else example.without_images()
            for example in self.examples
            if how == "text" or missing.isdisjoint(example.images)
        )
        examples = pack(kept)
        if not examples:
            raise DataError(none_left(self.path, len(missing)))
        return replace(self, examples=examples)

    def missing_report(self, how: MissingImage = "error") -> str | None:
        """Return a message on the pictures that are missing, as :func:`missing_report` does; ``None``: none is."""
        if not self.missing_images:
            return None
        num_named = len({name for example in self.examples for name in example.images})
        return missing_report(self.path, len(self.missing_images), num_named, self.missing_images, self.image_root, how)


@dataclass(frozen=True)
class Reading:
    """Result of a reader, whether or not all of it can be used.

    Attributes:
        dataset: The posts that are right, as annotated.
        problems: Everything that is wrong, each as ``file:line: reason``; empty when the file can be used.
        num_entities: Entities by decoding of BIO tags; empty where the format has no tags.
        tolerant: The posts by tolerant decoding, where another was chosen: by them a published set is known.
    """

    dataset: Dataset
    problems: tuple[str, ...] = ()
    num_entities: dict[Decode, int] = field(default_factory=dict)
    tolerant: Sequence[Example] | None = None


@dataclass(frozen=True)
class ReadOptions:
    """Choices of the user on how a file is read; a reader ignores those that its format does not have.

    Attributes:
        images: Folder of the pictures; without it, where the format usually has them.
        decode: Decoding of BIO tags to entities.
        label_column: Column of FMNERG that holds the labels.
        xml: Folder of the boxes of GMNER and FMNERG; without it, ``xml`` in the folder of the set.
        columns: Names of columns by what they hold (``tags``, ``images``, ``meta`` …), where the user says so.
        offsets: Unit of the offsets of entities, where the user says so.
        supposed_suffix: True to name a picture that is not there by the id and ``.jpg``, false by the id alone.
        several_sentences: True where sentences of columns without an id belong to the one above.
        label_names: Names of tags and labels that are numbers, in their order, where the user says so.
    """

    images: Path | None = None
    decode: Decode = "tolerant"
    label_column: LabelColumn = "fine"
    xml: Path | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    offsets: Offsets | None = None
    supposed_suffix: bool = True
    several_sentences: bool = False
    label_names: Sequence[str] = ()


class Reader(Protocol):
    """Reader of one file of a format.

    Never raises for what is wrong in the file: that goes to ``Reading.problems``, all of it at once.
    """

    def __call__(self, path: Path, options: ReadOptions) -> Reading:
        """Read the file."""
        ...


def picture_folder(folder: Path, images: Path | None) -> Path | None:
    """Return the folder of the pictures: the one that was given, else one of the usual places, else ``None``.

    Args:
        folder: The folder of the data set; tried are ``images`` and ``<folder>_images`` in it, and
            ``<folder>_images`` beside it.
        images: The user's choice.

    Raises:
        ConfigError: The user's choice is not a folder.
    """
    if images is not None:
        check_picture_folder(images)
        return images
    name = f"{folder.resolve().name}_images"
    for usual in (folder / "images", folder / name, folder.resolve().parent / name):
        if usual.is_dir():
            return usual
    return None


def check_picture_folder(images: Path) -> None:
    """Refuse what is no folder of pictures.

    Raises:
        ConfigError: It is none.
    """
    if not images.is_dir():
        why = (
            "this is a file; name a folder, and unpack archives"
            if images.exists()
            else "there is no such folder; check the path"
        )
        raise ConfigError(f"--images {images} (in a config data.images): {why}")


def own_pictures(example: Example) -> list[Path]:
    """Return the files of the pictures that a post names, from the working folder on.

    Raises:
        DataError: One is not there.
    """
    files = [find_picture(Path(), name) for name in example.images]
    missing = [shortened(name) for name, file in zip(example.images, files, strict=True) if file is None]
    if missing:
        raise DataError(
            f"post {example.id!r}: picture {missing[0]!r} is not in {Path.cwd()}; give the function that finds it "
            "(picture_paths=dataset.picture_paths), or the post without pictures (example.without_images())"
        )
    return [file for file in files if file is not None]


def missing_pictures(examples: Iterable[Example], root: Path | None) -> tuple[str, ...]:
    """Return the names of the pictures that are not in the folder, each once, in the order of the posts."""
    names = dict.fromkeys(name for example in examples for name in example.images)
    return tuple(name for name in names if find_picture(root, name) is None)


def dataset_name(folder: Path, split: str) -> str:
    """Return ``twitter2015/test``: the name of the folder of the set, and that of the split."""
    return f"{folder.resolve().name}/{split}"
