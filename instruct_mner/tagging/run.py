"""Tagging from the command line: from the settings to a file of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from instruct_mner.console import quiet_libraries, tracked, working
from instruct_mner.data.standard_output import standard_output
from instruct_mner.data.stream import Posts
from instruct_mner.errors import ConfigError
from instruct_mner.files import check_place, exclusive, is_stream
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import with_context, with_segmentation
from instruct_mner.prompting.retrieval import Pool
from instruct_mner.schema.choices import TaggingOrder
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.tagging.engine_choice import Examples, attention_map_drawer, manifest_of
from instruct_mner.tagging.hidden_pictures import most_shown, what_is_hidden
from instruct_mner.tagging.input import PostSource
from instruct_mner.tagging.labels import parse_labels
from instruct_mner.tagging.order import least_certain_first, lines_by_certainty
from instruct_mner.tagging.output import Predict, check_output, fingerprint, write_predictions
from instruct_mner.tagging.precheck import check_base, check_labels_are_known, takes_pictures, weights_of
from instruct_mner.tagging.progress import report
from instruct_mner.tagging.ray import RayJob, predict_on_ray
from instruct_mner.tagging.settings import TaggingSettings
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.tagging.texts import WINDOW


def tag(
    source: PostSource,
    settings: TaggingSettings,
    *,
    output: str,
    labels: str | None,
    workers: int | None = None,
    attention: Path | None = None,
    order: TaggingOrder = "data",
) -> None:
    """Tag posts and write the predictions, to standard output or resumably to a file.

    Args:
        source: Source of the posts.
        settings: Settings of tagging.
        output: File to write; ``-`` is standard output.
        labels: Labels in place of those of the tuning: names joined with commas, or a YAML file.
        workers: Number of workers of Ray.
        attention: Folder for drawings of the attention of each mention.
        order: Order of the predictions.

    Raises:
        MnerError: Posts, labels or model cannot be used.
    """
    with nullcontext() if is_stream(output) else exclusive(Path(output)):
        _tag(source, settings, output=output, labels=labels, workers=workers, attention=attention, order=order)


def _tag(
    source: PostSource,
    settings: TaggingSettings,
    *,
    output: str,
    labels: str | None,
    workers: int | None,
    attention: Path | None,
    order: TaggingOrder,
) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    local = settings.of_one_process()
    if attention is not None:
        _check_attention(source, settings, local)
        check_place(attention / "drawing.png")
    if not is_stream(output):
        check_output(Path(output))
    elif output == "-":
        standard_output()
    label_set = None if labels is None else parse_labels(labels)
    local.check()
    check_labels_are_known(local, label_set)
    if local.endpoint is None and takes_pictures(local) is False:
        source = replace(source, takes_pictures=False)
    with working(f"reading {source.data or 'the post'}"):
        posts = source.load()
    for note in posts.notes:
        console.print(note, markup=False)
    quiet_libraries()
    examples = settings.load_examples()
    check_base(local)
    _warn_of_known_posts(posts, examples, console)
    predict: Predict
    if settings.distributed:
        manifest = with_segmentation(with_context(manifest_of(local, examples), local.context), local.segmentation)
        job = RayJob(settings=local, posts=posts, labels=label_set, window=WINDOW, num_workers=workers)
        predict = partial(predict_on_ray, job, show=partial(console.print, markup=False))
    else:
        with working(f"connecting to {local.endpoint}" if local.endpoint else f"loading {local.local_name}"):
            tagger = Tagger.of_settings(local, examples)
        manifest = tagger.manifest
        predict = _local_predictions(tagger, posts, label_set, local, attention)
    _warn_of_calibration(manifest, local.engine, console)
    _warn_of_spellings(manifest, label_set, console)
    _say_what_is_hidden(manifest, posts, console)
    predict = _with_notice_of_windows(predict, console)
    if is_stream(output):
        made = predict(0)
        _print(made if order == "data" else least_certain_first(made), posts.num_posts, output)
        return
    stamp = _fingerprint(source, settings, manifest, posts, label_set, examples)
    arrange = None if order == "data" else lines_by_certainty
    report(
        write_predictions(
            predict, posts.num_posts, Path(output), stamp, window=WINDOW, posts=posts.posts, arrange=arrange
        ),
        posts.num_posts,
        console,
        count_rejected=lambda prediction: prediction.rejected.total,
    )
    console.print(f"wrote {output}", markup=False)


def _say_what_is_hidden(manifest: Manifest, posts: Posts, console: Console) -> None:
    """Tell of posts with pictures where the model reads text only, or fewer of them."""
    most = most_shown(manifest)
    hidden = sum(len(post.images) > most for post in posts.posts())
    if hidden:
        console.print(what_is_hidden(manifest, f"{hidden} of the posts"), markup=False)


def _check_attention(source: PostSource, settings: TaggingSettings, local: TaggingSettings) -> None:
    if local.engine != "transformers" or settings.distributed:
        raise ConfigError(
            "--attention shows the attention of a model in this process; leave --endpoint and --engine out"
        )
    if source.shows_own_words_only:
        raise ConfigError(f"--attention needs real pictures; leave --image-source {source.image_source} out")


def _local_predictions(
    tagger: Tagger, posts: Posts, labels: LabelSet | None, settings: TaggingSettings, attention: Path | None
) -> Predict:
    """Return what tags posts in this process, and draws the attention of their mentions where a folder is given."""
    drawer = None if attention is None else attention_map_drawer(settings, tagger, attention, labels)

    def predict(first: int) -> Iterator[Prediction]:
        predictions = tagger.predict(posts.posts(first), posts.picture_paths, labels, threshold=settings.threshold)
        if drawer is None:
            yield from predictions
            return
        for example, prediction in zip(posts.posts(first), predictions, strict=True):
            drawer.draw(example, posts.picture_paths(example), prediction)
            yield prediction

    return predict


def _with_notice_of_windows(predict: Predict, console: Console) -> Predict:
    """Return the same predictions, with one message at the first post that was cut into windows."""

    def noticed(first: int) -> Iterator[Prediction]:
        is_announced = False
        for prediction in predict(first):
            if prediction.windows is not None and not is_announced:
                is_announced = True
                console.print(
                    f"post {prediction.id} does not fit into the model's context: it is read in {prediction.windows} "
                    "windows that overlap, as are all such posts ('windows' in the predictions)"
                )
            yield prediction

    return noticed


def _fingerprint(
    source: PostSource,
    settings: TaggingSettings,
    manifest: Manifest,
    posts: Posts,
    labels: LabelSet | None,
    examples: Examples,
) -> str:
    """Return the hash of the settings that decide the predictions; how the work is shared out is none of them."""
    endpoint = settings.endpoint and (settings.endpoint, settings.model, settings.constraint, settings.scores)
    return fingerprint(
        manifest=manifest.model_dump(mode="json"),
        model=str(settings.adapter or settings.model),
        weights=None if settings.endpoint is not None else weights_of(settings, manifest),
        data=posts.sha256,
        pictures=posts.pictures_sha256,
        labels=labels and labels.model_dump(),
        images=str(source.images),
        missing_image=source.missing_image,
        image_source=source.image_source,
        constrained=settings.constrained,
        threshold=settings.threshold,
        endpoint=endpoint,
        examples=_examples_stamp(examples),
        engine=settings.of_one_process().engine,
        vllm=settings.vllm,
    )


def _examples_stamp(examples: Examples) -> object:
    if isinstance(examples, Pool):
        return ("nearest", examples.dataset.sha256, examples.dataset.pictures_sha256, examples.num_examples)
    return [example.model_dump() for example in examples]


def _warn_of_known_posts(posts: Posts, examples: Sequence[Example] | Pool, console: Console) -> None:
    if isinstance(examples, Pool) or not examples:
        return  # of a pool, a post is never its own example
    texts = {example.text for example in examples}
    known = sum(post.text in texts for post in posts.posts())
    if known:
        console.print(
            f"{known} of the posts are few-shot examples, with their answers in the prompt: a score on them is no "
            "measure of the model"
        )


def _warn_of_calibration(manifest: Manifest, engine: str, console: Console) -> None:
    calibration = manifest.calibration
    # In this process both engines give probabilities after the grammar; those of a server may be of another kind.
    if calibration is not None and (calibration.engine == "endpoint") != (engine == "endpoint"):
        console.print(
            f"confidences were calibrated with the engine {calibration.engine}, those of {engine} may be of another "
            "kind: calibrate with it, or do not rely on them"
        )


def _warn_of_spellings(manifest: Manifest, labels: LabelSet | None, console: Console) -> None:
    if labels is None or manifest.tuning == "none":
        return
    respelled = [f"{own!r}, given {name!r}" for name, own in labels.respelled(manifest.answer.labels).items()]
    if respelled:
        console.print(f"the model was tuned with other spellings of labels: {', '.join(respelled)}", markup=False)


def _print(predictions: Iterable[Prediction], num_posts: int, output: str) -> None:
    """Write predictions one by one to standard output, a device or a pipe."""
    with nullcontext(standard_output()) if output == "-" else Path(output).open("w", encoding="utf-8") as file:
        for prediction in tracked(predictions, "tagging", num_posts):
            file.write(prediction.model_dump_json(exclude_none=True) + "\n")
            file.flush()
