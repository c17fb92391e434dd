"""What ``instruct-mner tag`` does, from flags to a file of predictions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from rich.console import Console
from rich.progress import track

from instruct_mner.asking import heads_folder, load_examples, tuned_folder
from instruct_mner.data import Dataset, MissingImage, load_split
from instruct_mner.data.pictures import ImageSource, picture_source
from instruct_mner.engines.endpoint import Endpoint
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.engines.wire import Constraint
from instruct_mner.errors import ConfigError, DataError, ModelError
from instruct_mner.files import read_yaml
from instruct_mner.looking import Looker
from instruct_mner.predictions import check_output, fingerprint, write_predictions
from instruct_mner.problems import reasons
from instruct_mner.quiet import quiet_libraries
from instruct_mner.records import Example, LabelSet, Prediction
from instruct_mner.tagging import WINDOW, Tagger


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

    def pictures(self, dataset: Dataset) -> Callable[[Example], Sequence[Path]]:
        """Where to look for the pictures of a post."""
        return picture_source(dataset, "none" if self.image_source == "generated" else self.image_source)

    def load(self) -> Dataset:
        """The posts."""
        if self.text is not None:
            if self.image is not None and not self.image.is_file():
                raise DataError(f"--image {self.image}: there is no such picture; check the path")
            names = () if self.image is None else (str(self.image.resolve()),)
            post = Example(id="post", text=self.text, images=names)
            return Dataset("post", "text", Path("-"), fingerprint(text=self.text), (post,), Path("/"))
        assert self.data is not None
        if self.data == "-":
            return load_split("jsonl:/dev/stdin", images=self.images or Path.cwd(), missing_image=self._missing_image)
        return load_split(self.data, images=self.images, missing_image=self._missing_image)

    @property
    def _missing_image(self) -> MissingImage:
        """Pictures that are not shown are not missed."""
        return "keep" if self.shows_own_words_only else self.missing_image


@dataclass(frozen=True)
class Asked:
    """Who is asked, and how; fields are those of the command line."""

    model: str | None
    adapter: Path | None
    endpoint: str | None = None
    constraint: Constraint = "grammar"
    concurrency: int = 8
    scores: bool = True
    examples: str | None = None
    num_examples: int = 4
    context: bool | None = None
    batch_size: int = 8
    constrained: bool = True
    generated: bool = False

    def shown(self) -> tuple[Example, ...]:
        """The posts that the prompt shows as examples."""
        return () if self.examples is None else load_examples(self.examples, self.num_examples)

    def tagger(self, examples: Sequence[Example]) -> Tagger:
        """Loads the model, or connects to the server.

        Raises:
            MnerError: It cannot be used.
        """
        if self.adapter is not None and tuned_folder(self.adapter) is None:
            why = "holds no adapter" if self.adapter.is_dir() else "there is no such folder"
            raise ModelError(
                f"--adapter {self.adapter}: {why}; name the run folder that 'finetune' made (a base: --model)"
            )
        if self.endpoint is not None:
            if self.generated:
                raise ConfigError(
                    "--image-source generated: no server can be given pictures that were never seen; leave --endpoint "
                    "out, and name the run folder of the model (--adapter)"
                )
            if self.model is None:
                raise ConfigError("--endpoint needs --model, the name under which the server serves the model")
            endpoint = Endpoint(
                self.endpoint,
                self.model,
                constraint=self.constraint if self.constrained else "none",
                concurrency=self.concurrency,
                scores=self.scores,
            )
            return Tagger.connect(endpoint, adapter=self.adapter, examples=examples, context=self.context)
        name = self.adapter if self.adapter is not None else self.model
        if name is None:
            raise ConfigError(
                "give --model (hub name or folder) or --adapter (folder), or both for a base that has moved"
            )
        return Tagger.from_pretrained(
            name,
            base_model=self.model if self.adapter is not None else None,
            batch_size=self.batch_size,
            constrained=self.constrained,
            examples=examples,
            context=self.context,
            generated=self.generated,
        )

    def looker(self, tagger: Tagger, folder: Path, labels: LabelSet | None) -> Looker:
        """Draws what mentions look at."""
        assert isinstance(tagger.engine, TransformersEngine)
        name = self.adapter if self.adapter is not None else self.model
        heads = None if name is None else heads_folder(Path(name))
        return Looker(tagger, tagger.engine, heads, folder, labels)


def tag(source: Source, asked: Asked, *, output: str, labels: str | None, attention: Path | None = None) -> None:
    """Tags posts and writes predictions, to standard output or resumably to a file.

    Args:
        source: The posts.
        asked: Who is asked.
        output: The file; ``-`` is standard output.
        labels: Other labels than those of the tuning.
        attention: Folder for pictures of what each mention looks at.

    Raises:
        MnerError: Posts, labels or model cannot be used.
    """
    if attention is not None and (asked.endpoint is not None or source.shows_own_words_only):
        raise ConfigError(
            "--attention shows the attention of a model in this process on real pictures; leave --endpoint and "
            f"--image-source {source.image_source} out"
        )
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if output != "-":
        check_output(Path(output))
    label_set = None if labels is None else parse_labels(labels)
    dataset = source.load()
    if dataset.missing_images and not source.shows_own_words_only:
        console.print(f"{len(dataset.missing_images)} pictures are missing: {source.missing_image}")
    quiet_libraries()
    examples = asked.shown()
    texts = {example.text for example in examples}
    known = sum(post.text in texts for post in dataset.examples)
    if known:
        console.print(f"{known} of the posts are shown to the model as examples, with their answers: a score would lie")
    tagger = asked.tagger(examples)

    pictures = source.pictures(dataset)
    looker = None if attention is None else asked.looker(tagger, attention, label_set)

    def predict(examples: Sequence[Example]) -> Iterator[Prediction]:
        for example, prediction in zip(examples, tagger.predict(examples, pictures, label_set), strict=True):
            if looker is not None:
                looker.draw(example, pictures(example), prediction)
            yield prediction

    if output == "-":
        _print(predict(dataset.examples))
        return
    settings = fingerprint(
        manifest=tagger.manifest.model_dump(mode="json"),
        model=str(asked.adapter or asked.model),
        data=dataset.sha256,
        labels=label_set and label_set.model_dump(),
        images=str(source.images),
        missing_image=source.missing_image,
        image_source=source.image_source,
        constrained=asked.constrained,
        endpoint=asked.endpoint and (asked.endpoint, asked.model, asked.constraint, asked.scores),
        examples=[example.model_dump() for example in examples],
    )
    _report(write_predictions(predict, dataset.examples, Path(output), settings, window=WINDOW), dataset, console)
    console.print(f"wrote {output}")


def _print(predictions: Iterable[Prediction]) -> None:
    """Writes predictions to standard output as they come."""
    try:
        for prediction in predictions:
            sys.stdout.write(prediction.model_dump_json(exclude_none=True) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left (`| head`): not a failure, and what Python still holds back has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(predictions: Iterable[Prediction | None], dataset: Dataset, console: Console) -> None:
    rejected = tagged = 0
    for prediction in track(
        predictions, "tagging", total=len(dataset.examples), console=console, disable=not console.is_terminal
    ):
        if prediction is not None:
            tagged += 1
            rejected += prediction.rejected.total
    earlier = len(dataset.examples) - tagged
    console.print(
        f"{tagged} posts tagged"
        + (f", {earlier} done before" if earlier else "")
        + (f"; {rejected} items of answers were rejected" if rejected else "")
    )


def parse_labels(text: str) -> LabelSet:
    """A label set from ``PER,LOC``, or from a YAML file of a list or of ``NAME: definition``.

    Raises:
        ConfigError: It is neither, or a label is not allowed.
    """
    path = Path(text)
    try:
        if path.suffix in {".yaml", ".yml"} or ("," not in text and path.is_file()):
            values = read_yaml(path)
        else:
            values = [name.strip() for name in text.split(",")]
        return LabelSet.model_validate(values)
    except (ConfigError, DataError) as error:
        raise ConfigError(f"--labels {error}") from None
    except ValidationError as error:
        raise ConfigError(f"--labels {text}: {'; '.join(reasons(error, LabelSet))}") from None
