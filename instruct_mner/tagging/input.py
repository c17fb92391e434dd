"""Input of ``instruct-mner tag``: a file, standard input, or one post given by flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from instruct_mner.data.broken_pictures import without_broken
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.formats import find_files
from instruct_mner.data.loading import load_split
from instruct_mner.data.pictures import picture_source
from instruct_mner.data.stream import STREAMED, HeldPosts, Posts, look_through
from instruct_mner.errors import DataError
from instruct_mner.images import check_no_address
from instruct_mner.schema.choices import MissingImage, TaggingImageSource
from instruct_mner.schema.records import Example, UnnamedExample
from instruct_mner.schema.validation_messages import reasons
from instruct_mner.tagging.output import fingerprint
from instruct_mner.tagging.texts import WINDOW


@dataclass(frozen=True, kw_only=True)
class PostSource:
    """Source of the posts to tag.

    Attributes:
        data: DATA; ``None`` where a text is given.
        text: Text of a single post.
        image: Path of the picture of the single post.
        images: Folder of the pictures.
        missing_image: Treatment of posts whose picture is missing.
        image_source: Pictures that posts are shown with.
        takes_pictures: False for a model that reads text only, which misses no picture.
    """

    data: str | None = None
    text: str | None = None
    image: str | None = None
    images: Path | None = None
    missing_image: MissingImage = "error"
    image_source: TaggingImageSource = "own"
    takes_pictures: bool = True

    @property
    def shows_own_words_only(self) -> bool:
        """True where no picture of a post is opened."""
        return self.image_source in {"none", "generated"}

    def load(self) -> Posts:
        """Read the posts; of JSONL and Parquet no more than a window is in memory at once.

        Raises:
            DataError: They cannot be read.
        """
        if self.text is None and self.image_source != "shuffled":
            assert self.data is not None
            form, files = find_files(self.data)
            if form in STREAMED and len(files) == 1:
                [path] = files.values()
                return self._streamed(path, form, self.images)
        dataset = without_broken(self._dataset(), self._missing_image)
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

    def _dataset(self) -> Dataset:
        if self.text is not None:
            names = () if self.image is None else (_picture(self.image),)
            try:
                post = UnnamedExample(id="post", text=self.text, images=names)
            except ValidationError as error:
                raise DataError(f"--text: {'; '.join(reasons(error, Example))}") from None
            return Dataset("post", "text", Path("-"), fingerprint(text=self.text), (post,), Path("/"))
        assert self.data is not None
        return load_split(self.data, images=self.images, missing_image=self._missing_image)

    @property
    def _missing_image(self) -> MissingImage:
        """Treatment of missing pictures; those that are not shown are not missed."""
        return self.missing_image if self.takes_pictures and not self.shows_own_words_only else "keep"


def _picture(image: str) -> str:
    """Return the whole path of a picture.

    Raises:
        DataError: It is an address, or not there.
    """
    try:
        check_no_address(image)
    except DataError as error:
        raise DataError(f"--image {error}") from None
    if not Path(image).is_file():
        raise DataError(f"--image {image}: there is no such picture; check the path")
    return str(Path(image).resolve())
