"""``instruct-mner context``: captions, tags and OCR of pictures, put into the context of posts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL.Image import Image
from rich.console import Console

from instruct_mner.console import quiet_libraries, working
from instruct_mner.context.captions import INSTRUCTION, caption
from instruct_mner.context.ocr import TextReader
from instruct_mner.data.stream import Posts
from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.engines.engine import Engine
from instruct_mner.errors import ConfigError, DataError, listing
from instruct_mner.files import exclusive
from instruct_mner.images import open_image
from instruct_mner.models.hub import DETECTOR_FILES, check_whole_model
from instruct_mner.models.locations import locate
from instruct_mner.models.weights_hash import weights_hash
from instruct_mner.schema.choices import MissingImage
from instruct_mner.schema.records import Context, Example
from instruct_mner.tagging.engine_choice import base_engine
from instruct_mner.tagging.input import PostSource
from instruct_mner.tagging.output import check_output, fingerprint, write_records
from instruct_mner.tagging.progress import report

# Posts whose pictures are open at once.
_WINDOW = 16
_MOST_NAMED = 3


@dataclass(frozen=True)
class Wanted:
    """Settings of the descriptions of pictures; fields are those of the command line.

    Attributes:
        captions: The vision-language model that writes captions; its name there, with an endpoint.
        endpoint: A server that has it.
        instruction: Instruction of the captioner.
        tags: The object detector that names objects.
        least_score: Least score of an object.
        most_tags: Largest number of tags of a picture.
        ocr: True where text in pictures is read.
        ocr_languages: Tesseract's names, joined with ``+``.
        batch_size: Pictures captioned at once.
    """

    captions: str | None = None
    endpoint: str | None = None
    instruction: str = INSTRUCTION
    tags: str | None = None
    least_score: float = 0.5
    most_tags: int = 10
    ocr: bool = False
    ocr_languages: str = "eng"
    batch_size: int = 8

    def weights(self) -> list[str | None]:
        """Return the hashes of the models in folders of this machine; ``None`` for those of the hub and of a server."""
        captioner = None if self.captions is None or self.endpoint is not None else locate(self.captions)
        return [name and weights_hash(Path(name)) for name in (captioner, self.tags)]


class ContextMaker:
    """Says what pictures show.

    Args:
        wanted: Kinds of description.

    Raises:
        MnerError: Nothing is wanted, or a model or program is missing.
    """

    def __init__(self, wanted: Wanted) -> None:
        if wanted.captions is None and wanted.tags is None and not wanted.ocr:
            raise ConfigError("nothing is asked for: give --captions MODEL, --tags DETECTOR, --ocr, or several of them")
        self._wanted = wanted
        self._num_read, self._unread = 0, list[str]()
        self._num_captioned = self._num_uncaptioned = 0
        self._reader = TextReader(wanted.ocr_languages) if wanted.ocr else None
        self._detector = None
        # A wrong name is told before torch, which takes a while.
        if wanted.captions is not None and wanted.endpoint is None:
            check_whole_model(wanted.captions)
        if wanted.tags is not None:
            check_whole_model(wanted.tags, needed=DETECTOR_FILES)
            # It brings torch and transformers with it, which captions by a server and OCR have no use for.
            from instruct_mner.context.object_tags import Detector

            self._detector = Detector(wanted.tags, wanted.least_score, wanted.most_tags)
        self._engine = self._load_engine()

    def _load_engine(self) -> Engine | None:
        wanted = self._wanted
        if wanted.captions is None:
            if wanted.endpoint is not None:
                raise ConfigError("--endpoint needs --captions, the name under which the server serves the model")
            return None
        if wanted.endpoint is not None:
            return EndpointEngine(Endpoint(wanted.endpoint, wanted.captions, constraint="none", scores=False))
        return base_engine(wanted.captions, wanted.batch_size)

    def add(self, posts: Sequence[tuple[Example, Sequence[Image]]]) -> list[Example]:
        """Yield posts with descriptions of their pictures; other kinds and posts without pictures stay as they are."""
        pictures = [picture for _, images in posts for picture in images]
        captions = iter(self._captions(pictures))
        described = []
        for example, images in posts:
            mine = [next(captions) for _ in images]
            described.append(example.model_copy(update={"context": self._context(example, images, mine)}))
        return described

    def _captions(self, pictures: Sequence[Image]) -> list[str | None]:
        if self._engine is None or not pictures:
            return [None] * len(pictures)
        captions = caption(pictures, self._engine, self._wanted.instruction)
        self._num_captioned += len(captions)
        self._num_uncaptioned += captions.count(None)
        return captions

    def _context(self, example: Example, images: Sequence[Image], captions: Sequence[str | None]) -> Context | None:
        if not images:
            return example.context
        context = example.context or Context()
        changed: dict[str, object] = {}
        if self._engine is not None:
            changed["caption"] = " ".join(filter(None, captions)) or None
        if self._detector is not None:
            changed["tags"] = tuple(dict.fromkeys(tag for image in images for tag in self._detector.tags(image)))
        if self._reader is not None:
            changed |= self._read(example.id, images, self._reader)
        return context.model_copy(update=changed)

    def _read(self, post: str, images: Sequence[Image], reader: TextReader) -> dict[str, str | None]:
        """Return the text in the pictures of a post; nothing, where one cannot be read."""
        self._num_read += 1
        try:
            return {"ocr": " ".join(filter(None, map(reader.read, images))) or None}
        except DataError as error:
            self._unread.append(f"post {post!r}: {error}")
            return {}

    def check_read(self, *, is_last: bool) -> None:
        """Refuse to go on where no picture of many posts, or of all, can be read.

        Args:
            is_last: True where all posts are described.

        Raises:
            DataError: None can be read.
        """
        if len(self._unread) == self._num_read >= (1 if is_last else _WINDOW):
            raise DataError(
                f"--ocr: in none of {self._num_read} posts the pictures can be read; mend tesseract, or leave --ocr "
                f"out:\n{listing(self._unread, most=_MOST_NAMED)}"
            )

    def notes(self) -> Iterator[str]:
        """Iterate over the remarks for the user on pictures that have no caption, or cannot be read."""
        if self._num_uncaptioned:
            yield (
                f"--captions: {self._num_uncaptioned} of {self._num_captioned} pictures have none: the model said "
                "nothing, or came to no end"
            )
        if self._unread:
            yield (
                f"--ocr: in {len(self._unread)} of {self._num_read} posts the pictures cannot be read; their text in "
                f"pictures is left as it was:\n{listing(self._unread, most=_MOST_NAMED)}"
            )


def make_context(data: str, output: Path, wanted: Wanted, *, images: Path | None, missing_image: MissingImage) -> None:
    """Write DATA as JSONL with the context of its pictures; a run that was killed goes on where it stopped.

    Pictures are named relative to the written file.

    Raises:
        MnerError: The posts, a model or a program cannot be used, or the output cannot be written.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if output.suffix != ".jsonl":
        raise ConfigError(f"{output}: the output is JSONL; name a .jsonl file")
    with exclusive(output):
        check_output(output)
        with working(f"reading {data}"):
            posts = PostSource(data=data, images=images, missing_image=missing_image).load()
        for note in posts.notes:
            console.print(note, markup=False)
        quiet_libraries()
        with working("loading the models"):
            maker = ContextMaker(wanted)

        def make(first: int) -> Iterator[Example]:
            return _windows(posts, maker, first, output.parent.resolve())

        settings = fingerprint(
            data=posts.sha256,
            pictures=posts.pictures_sha256,
            images=str(images),
            missing_image=missing_image,
            wanted=vars(wanted),
            weights=wanted.weights(),
        )
        written = write_records(
            make, posts.num_posts, output, settings, record=Example, window=_WINDOW, posts=posts.posts
        )
        report(written, posts.num_posts, console, doing="describing", done="described")
        for note in maker.notes():
            console.print(note, markup=False)
    console.print(f"wrote {output}", markup=False)


def _windows(posts: Posts, maker: ContextMaker, first: int, folder: Path) -> Iterator[Example]:
    remaining, num_done = posts.posts(first), first
    while window := list(islice(remaining, _WINDOW)):
        opened = [(example, [open_image(path) for path in posts.picture_paths(example)]) for example in window]
        described, num_done = maker.add(opened), num_done + len(window)
        maker.check_read(is_last=num_done == posts.num_posts)
        for example in described:
            paths = posts.picture_paths(example)
            names = tuple(Path(os.path.relpath(path.resolve(), folder)).as_posix() for path in paths)
            yield example.model_copy(update={"images": names})
