"""What ``instruct-mner tag`` does, from flags to a file of predictions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from instruct_mner.asking import has_examples, heads_folder, load_examples, tuned, tuned_folder, untuned, with_context
from instruct_mner.data.stream import Posts
from instruct_mner.distributed import Job, predict_on_ray
from instruct_mner.engines.endpoint import Endpoint
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.engines.wire import Constraint
from instruct_mner.errors import ConfigError, DataError, ModelError, suggest
from instruct_mner.files import read_yaml
from instruct_mner.looking import Looker
from instruct_mner.manifest import Manifest
from instruct_mner.models.loading import describe_model
from instruct_mner.neighbours import Choose, Pool
from instruct_mner.predictions import Predict, check_output, fingerprint, write_predictions
from instruct_mner.problems import reasons
from instruct_mner.quiet import quiet_libraries
from instruct_mner.records import Example, LabelSet, Prediction
from instruct_mner.tag_progress import report
from instruct_mner.tag_source import Source
from instruct_mner.tagging import WINDOW, Tagger

ENGINES = ("transformers", "vllm", "endpoint")
"""What one process can be asked by; :meth:`Asked.tagger` makes each, in this process and in workers of Ray."""


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
    threshold: float = 0.0
    choose: Choose = "first"
    engine: str = "transformers"
    vllm: tuple[str, ...] = ()
    generated: bool = False

    @property
    def distributed(self) -> bool:
        """Whether the work is shared out by Ray."""
        return self.engine.partition(":")[0] == "ray"

    def of_one_process(self) -> Asked:
        """The same, with the engine by which each process is asked: ``ray:vllm`` is ``vllm`` on many.

        Raises:
            ConfigError: There is no such engine.
        """
        engine = (self.engine.partition(":")[2] or ENGINES[0]) if self.distributed else self.engine
        if engine not in ENGINES:
            raise ConfigError(
                f"--engine {self.engine}: there is no engine {engine!r}{suggest(engine, ENGINES)}; known: "
                f"{', '.join(ENGINES)}, and ray or ray:ENGINE, which shares the work out"
            )
        if self.endpoint is not None and engine == "vllm":
            raise ConfigError("--endpoint asks a server, --engine vllm runs vLLM here: leave one of them out")
        if self.endpoint is not None or engine == "endpoint":
            if self.endpoint is None:
                raise ConfigError("--engine endpoint needs --endpoint, the address of the server")
            engine = "endpoint"
        return replace(self, engine=engine)

    def manifest(self, examples: Sequence[Example] | Pool) -> Manifest:
        """That of :meth:`tagger`, without loading the weights.

        Raises:
            MnerError: The model cannot be used.
        """
        self._check()
        name = self.adapter if self.adapter is not None else self.model
        if self.endpoint is not None or name is None:
            # Of a server nothing is loaded, and what it calls its model is no name of ours; without a name it says so.
            found = self.tagger(examples).manifest
        elif (folder := tuned_folder(name)) is not None:
            found, _ = tuned(folder, examples)
        else:
            found, _ = untuned(describe_model(str(name)), with_examples=has_examples(examples))
        return with_context(found, self.context)

    def shown(self) -> tuple[Example, ...] | Pool:
        """The posts that the prompt shows as examples, or those among which each post finds its own."""
        if self.examples is None:
            return ()
        if self.choose == "nearest":
            return Pool.load(self.examples, self.num_examples)
        return load_examples(self.examples, self.num_examples)

    def _check(self) -> None:
        """What is said before anything is loaded."""
        if self.threshold > 0 and self.endpoint is not None and not self.scores:
            raise ConfigError("--threshold needs confidences, and with --no-scores each is 1; leave one of them out")
        if self.adapter is not None and tuned_folder(self.adapter) is None:
            why = "holds no adapter" if self.adapter.is_dir() else "there is no such folder"
            raise ModelError(
                f"--adapter {self.adapter}: {why}; name the run folder that 'finetune' made (a base: --model)"
            )
        if self.engine != "vllm" and self.vllm:
            raise ConfigError("--vllm is for --engine vllm")

    def tagger(self, examples: Sequence[Example] | Pool) -> Tagger:
        """Loads the model, or connects to the server.

        Raises:
            MnerError: It cannot be used.
        """
        self._check()
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
        if self.engine == "vllm":
            return Tagger.with_vllm(
                name,
                base_model=self.model if self.adapter is not None else None,
                flags=self.vllm,
                constrained=self.constrained,
                examples=examples,
                context=self.context,
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
        heads = None if name is None else heads_folder(name)
        return Looker(tagger, tagger.engine, heads, folder, labels)


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
    report(write_predictions(predict, posts.num_posts, Path(output), settings, window=WINDOW), posts.num_posts, console)
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
