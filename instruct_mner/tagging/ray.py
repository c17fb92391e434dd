"""Tagging on Ray Data: the same windows of posts as in one process, on workers of as many machines as there are.

Only numbers of windows travel to the workers, and predictions back: files of posts, pictures and models must be
reachable under the same paths on every machine.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from instruct_mner import errors
from instruct_mner.console import quiet_libraries
from instruct_mner.data.stream import Posts
from instruct_mner.errors import ConfigError, MnerError
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Prediction
from instruct_mner.tagging.probes import check_probes
from instruct_mner.tagging.settings import TaggingSettings
from instruct_mner.tagging.tagger import Tagger

# Blocks of windows that are handed out; a window that is done is written down once its block is.
_MOST_BLOCKS = 4096
# All that travels is numbers and predictions.
_OBJECT_STORE_BYTES = 200 * 1024**2
# Kinds of rows that workers return, beside the names of errors.
_PREDICTION, _NOTE = "prediction", "note"


@dataclass(frozen=True, kw_only=True)
class RayJob:
    """Work that all workers share.

    Attributes:
        settings: Settings of one worker.
        posts: All posts.
        labels: Labels in place of those of the tuning.
        window: Number of posts that are batched together.
        num_workers: Number of workers; ``None``: one for each GPU, or one for each machine where there is none.
    """

    settings: TaggingSettings
    posts: Posts
    labels: LabelSet | None
    window: int
    num_workers: int | None = None


class _Worker:
    """Worker with a tagger, which tags windows of posts."""

    def __init__(self, job: RayJob) -> None:
        quiet_libraries()
        self._job = job
        self._error: MnerError | None = None
        self._notes: list[str] = []
        try:
            self._tagger = Tagger.of_settings(job.settings, job.settings.load_examples())
            if job.settings.endpoint is None:
                # A server has been probed by who has started it.
                self._notes = check_probes(self._tagger, "the model", job.labels)
        except MnerError as error:
            self._error = error

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Return lines of predictions, first of all what the probes saw.

        In their place it may be an error of the user's, which Ray would retry for ever if it were raised.
        """
        try:
            if self._error is not None:
                raise self._error
            lines = [line for number in batch["window"].tolist() for line in self._tag(int(number))]
        except MnerError as error:
            return {"line": [str(error)], "kind": [type(error).__name__]}
        notes, self._notes = self._notes, []
        return {"line": [*notes, *lines], "kind": [_NOTE] * len(notes) + [_PREDICTION] * len(lines)}

    def _tag(self, number: int) -> Iterator[str]:
        job = self._job
        posts = islice(job.posts.posts(number * job.window), job.window)
        threshold = job.settings.threshold
        for prediction in self._tagger.predict(posts, job.posts.picture_paths, job.labels, threshold=threshold):
            yield prediction.model_dump_json(exclude_none=True)


def predict_on_ray(job: RayJob, first: int, show: Callable[[str], None] = lambda line: None) -> Iterator[Prediction]:
    """Tag posts on all workers.

    Workers may die at any time: Ray Data starts them again, and gives their windows out again.

    Args:
        job: Work that the workers share.
        first: Number of the first post, counted from 0; it begins a window.
        show: Function that gets the lines of the probes of all workers, each once.

    Yields:
        The predictions, in the order of the posts.

    Raises:
        ConfigError: Ray is not installed, or has fewer places than there are to be workers.
        MnerError: A worker could not load the model or use a post.
    """
    with _ray(job) as ray:
        num_workers, resources = places_of(job, ray.cluster_resources())
        windows = range(first // job.window, -(-job.posts.num_posts // job.window))
        rows = ray.data.from_items(
            [{"window": number} for number in windows], override_num_blocks=min(len(windows), _MOST_BLOCKS)
        ).map_batches(
            _Worker,
            batch_size=1,
            fn_constructor_args=(job,),
            compute=ray.data.ActorPoolStrategy(size=min(num_workers, len(windows)), max_tasks_in_flight_per_actor=2),
            **resources,
        )
        noted: set[str] = set()
        for row in rows.iter_rows():
            if row["kind"] != _NOTE:
                yield _prediction(row)
            elif row["line"] not in noted:
                noted.add(row["line"])
                show(row["line"])


@contextmanager
def _ray(job: RayJob) -> Iterator[Any]:
    """Connect to the cluster that ``RAY_ADDRESS`` names, or start Ray on this machine and end it afterwards."""
    # No usage statistics are sent, and of Ray's own messages the user sees only errors.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError("--engine ray needs Ray: pip install 'instruct-mner[ray]'") from None
    started = not ray.is_initialized()
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if started and os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    elif started:
        places = max(job.num_workers or 1, os.cpu_count() or 1)
        ray.init(num_cpus=places, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, **quiet)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _prediction(row: dict[str, str]) -> Prediction:
    """Return the prediction of a worker, or raise the error that it met."""
    if row["kind"] != _PREDICTION:
        raise getattr(errors, row["kind"])(row["line"])
    return Prediction.model_validate_json(row["line"])


def places_of(job: RayJob, total: dict[str, float]) -> tuple[int, dict[str, float]]:
    """Return the number of workers, and the resources of each.

    A worker takes a GPU where there are any and a model is loaded, else a processor.

    Args:
        job: Work that the workers share.
        total: Resources of the cluster, of ``ray.cluster_resources()``.

    Raises:
        ConfigError: There are fewer places than there are to be workers.
    """
    machines = sum(name.startswith("node:") and name != "node:__internal_head__" for name in total)
    needs_gpu = total.get("GPU", 0) > 0 and job.settings.endpoint is None
    places = int(total["GPU"] if needs_gpu else total.get("CPU", 0))
    num_workers = job.num_workers or (places if needs_gpu else machines)
    if num_workers > places:
        kind = "GPUs" if needs_gpu else "processors"
        raise ConfigError(f"--workers {num_workers}: Ray has {places} {kind}; ask for fewer, or add machines")
    return num_workers, {"num_cpus": 0, "num_gpus": 1} if needs_gpu else {"num_cpus": 1}
