"""Where the posts of ``instruct-mner tag`` come from."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from instruct_mner.data.dataset import Dataset, MissingImage
from instruct_mner.data.formats import find_files
from instruct_mner.data.loading import load_split
from instruct_mner.data.pictures import ImageSource, picture_source
from instruct_mner.data.stream import STREAMED, HeldPosts, Posts, look_through
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example
from instruct_mner.tagging.output import fingerprint
from instruct_mner.tagging.tagger import WINDOW


@dataclass(frozen=True)
class Source:
    """Where posts come from: DATA, ``-``, or one post given by flags."""

    data: str | None
    text: str | None
    image: Path | None
    images: Path | None
    missing_image: MissingImage
    image_source: ImageSource | Literal["generated"] = "own"

    @property
    def shows_own_words_only(self) -> bool:
        """Whether no post's pictures are opened."""
        return self.image_source in {"none", "generated"}

    def load(self) -> Posts:
        """The posts; of JSONL and Parquet no more than a window is held at once."""
        if self.text is None and self.image_source != "shuffled":
            assert self.data is not None
            if self.data == "-":
                return self._standard_input()
            form, files = find_files(self.data)
            if form in STREAMED and len(files) == 1:
                [path] = files.values()
                return self._streamed(path, form, self.images)
        dataset = self._dataset()
        return HeldPosts(
            dataset, picture_source(dataset, "none" if self.image_source == "generated" else self.image_source)
        )

    def _streamed(self, path: Path, form: str, images: Path | None) -> Posts:
        return look_through(
            path,
            form,
            images=images,
            missing_image=self._missing_image,
            show_pictures=self.image_source == "own",
            every=WINDOW,
        )

    def _standard_input(self) -> Posts:
        """Standard input can be read once only, so it is put into a file first; pictures lie relative to here."""
        path = _spooled()
        try:
            return self._streamed(path, "jsonl", self.images or Path.cwd())
        except DataError as error:
            raise DataError(str(error).replace(str(path), "standard input")) from None

    def _dataset(self) -> Dataset:
        if self.text is not None:
            if self.image is not None and not self.image.is_file():
                raise DataError(f"--image {self.image}: there is no such picture; check the path")
            names = () if self.image is None else (str(self.image.resolve()),)
            post = Example(id="post", text=self.text, images=names)
            return Dataset("post", "text", Path("-"), fingerprint(text=self.text), (post,), Path("/"))
        assert self.data is not None
        if self.data == "-":
            data, images = f"jsonl:{_spooled()}", self.images or Path.cwd()
            return load_split(data, images=images, missing_image=self._missing_image)
        return load_split(self.data, images=self.images, missing_image=self._missing_image)

    @property
    def _missing_image(self) -> MissingImage:
        """Pictures that are not shown are not missed."""
        return "keep" if self.shows_own_words_only else self.missing_image


def _spooled() -> Path:
    """A file with what comes on standard input; removed when the program ends."""
    folder = tempfile.mkdtemp(prefix="instruct-mner-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "stdin.jsonl"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path
