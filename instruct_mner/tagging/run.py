"""What ``instruct-mner tag`` does, from flags to a file of predictions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from instruct_mner.console import quiet_libraries, report
from instruct_mner.data.stream import Posts
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.files import read_yaml
from instruct_mner.models.manifest import Manifest
from instruct_mner.prompting.retrieval import Pool
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.schema.validation_messages import reasons
from instruct_mner.tagging.input import Source
from instruct_mner.tagging.output import Predict, check_output, fingerprint, write_predictions
from instruct_mner.tagging.ray import Job, predict_on_ray
from instruct_mner.tagging.settings import Asked
from instruct_mner.tagging.tagger import WINDOW


def tag(
    source: Source,
    asked: Asked,
    *,
    output: str,
    labels: str | None,
    workers: int | None = None,
    attention: Path | None = None,
) -> None:
    """Tags posts and writes predictions, to standard output or resumably to a file.

    Args:
        source: The posts.
        asked: Who is asked.
        output: The file; ``-`` is standard output.
        labels: Other labels than those of the tuning.
        workers: Of Ray.
        attention: Folder for pictures of what each mention looks at.

    Raises:
        MnerError: Posts, labels or model cannot be used.
    """
    if attention is not None and (asked.of_one_process().engine != "transformers" or asked.distributed):
        raise ConfigError(
            "--attention shows the attention of a model in this process; leave --endpoint and --engine out"
        )
    if attention is not None and source.shows_own_words_only:
        raise ConfigError(f"--attention needs real pictures; leave --image-source {source.image_source} out")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if output != "-":
        check_output(Path(output))
    label_set = None if labels is None else parse_labels(labels)
    local = asked.of_one_process()
    posts = source.load()
    if posts.num_missing and not source.shows_own_words_only:
        console.print(f"{posts.num_missing} pictures are missing: {source.missing_image}")
    quiet_libraries()
    examples = asked.shown()
    _warn_of_known_posts(posts, examples, console)
    predict: Predict
    if asked.distributed:
        manifest = local.manifest(examples)
        predict = partial(predict_on_ray, Job(local, posts, label_set, WINDOW, workers))
    else:
        tagger = local.tagger(examples)
        manifest = tagger.manifest

        looker = None if attention is None else local.looker(tagger, attention, label_set)

        def predict(first: int) -> Iterator[Prediction]:
            found = tagger.predict(posts.posts(first), posts.picture_paths, label_set, threshold=asked.threshold)
            if looker is None:
                yield from found
                return
            for example, prediction in zip(posts.posts(first), found, strict=True):
                looker.draw(example, posts.picture_paths(example), prediction)
                yield prediction

    _warn_of_calibration(manifest, local.engine, console)
    if output == "-":
        _print(predict(0))
        return
    settings = fingerprint(
        manifest=manifest.model_dump(mode="json"),
        model=str(asked.adapter or asked.model),
        data=posts.sha256,
        labels=label_set and label_set.model_dump(),
        images=str(source.images),
        missing_image=source.missing_image,
        image_source=source.image_source,
        constrained=asked.constrained,
        threshold=asked.threshold,
        endpoint=asked.endpoint and (asked.endpoint, asked.model, asked.constraint, asked.scores),
        examples=_stamp(examples),
        engine=local.engine,
    )
    report(
        write_predictions(predict, posts.num_posts, Path(output), settings, window=WINDOW),
        posts.num_posts,
        console,
        count_rejected=lambda prediction: prediction.rejected.total,
    )
    console.print(f"wrote {output}")


def _warn_of_known_posts(posts: Posts, examples: Sequence[Example] | Pool, console: Console) -> None:
    if isinstance(examples, Pool) or not examples:
        return  # of a pool, a post is never its own example
    texts = {example.text for example in examples}
    known = sum(post.text in texts for post in posts.posts())
    if known:
        console.print(f"{known} of the posts are shown to the model as examples, with their answers: a score would lie")


def _warn_of_calibration(manifest: Manifest, engine: str, console: Console) -> None:
    calibration = manifest.calibration
    # In this process both engines give what the grammar leaves; what a server gives is its own affair.
    if calibration is not None and (calibration.engine == "endpoint") != (engine == "endpoint"):
        console.print(
            f"confidences were calibrated with the engine {calibration.engine}, those of {engine} may be of another "
            "kind: calibrate with it, or do not rely on them"
        )


def _stamp(examples: Sequence[Example] | Pool) -> object:
    """What tells examples from others."""
    if isinstance(examples, Pool):
        return ("nearest", examples.dataset.sha256, examples.num_examples)
    return [example.model_dump() for example in examples]


def _print(predictions: Iterable[Prediction]) -> None:
    """Writes predictions to standard output as they come."""
    try:
        for prediction in predictions:
            sys.stdout.write(prediction.model_dump_json(exclude_none=True) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left (`| head`): not a failure, and what Python still holds back has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
