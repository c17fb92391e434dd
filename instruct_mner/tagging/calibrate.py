"""Calibration of confidences: annotated posts are tagged, and a scaling is fitted and kept in ``mner.json``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from instruct_mner.console import quiet_libraries, tracked, working
from instruct_mner.data.broken_pictures import without_broken
from instruct_mner.data.conversion import check_output_file
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.leaks import shown_name
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError, ModelError
from instruct_mner.files import check_place, exclusive
from instruct_mner.models.manifest import FILE_NAME, Calibration, Manifest
from instruct_mner.models.tuned import tuned_folder
from instruct_mner.schema.choices import MissingImage
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES
from instruct_mner.scoring.calibration import Judged, fit_scaling, judge, measure
from instruct_mner.scoring.pairing import pair_posts
from instruct_mner.scoring.reliability import PLOT_MARK, CalibrationReport, plot_reliability
from instruct_mner.tagging.settings import TaggingSettings
from instruct_mner.tagging.tagger import Tagger

PLOT_NAME = "reliability.png"


@dataclass(frozen=True, kw_only=True)
class CalibrationPosts:
    """Annotated posts to calibrate on.

    Attributes:
        data: DATA, a path or ``FORMAT:PATH``.
        images: Folder of the pictures.
        text_where_missing: Whether posts whose picture is missing are kept, as text.
    """

    data: str
    images: Path | None = None
    text_where_missing: bool = False

    def load(self, *, takes_pictures: bool = True) -> Dataset:
        """Read the posts that are annotated; notes and the number of the others are printed on standard error.

        Args:
            takes_pictures: False for a model that reads text only, which misses no picture.

        Raises:
            DataError: There are none.
        """
        missing_image: MissingImage = "text" if self.text_where_missing else "error"
        if not takes_pictures:
            missing_image = "keep"
        dataset = load_split(self.data, images=self.images, missing_image=missing_image)
        dataset = without_broken(dataset, missing_image)
        for note in dataset.notes:
            print(note, file=sys.stderr)
        annotated = tuple(example for example in dataset.examples if example.entities is not None)
        if not annotated:
            raise DataError(f"{dataset.path}: no post is annotated, nothing can be fitted; give posts with gold")
        if num_others := len(dataset.examples) - len(annotated):
            print(
                f"{dataset.path}: {num_others} of {len(dataset.examples)} posts are not annotated, and left out",
                file=sys.stderr,
            )
        return replace(dataset, examples=annotated)


def calibrate(
    settings: TaggingSettings,
    dev: CalibrationPosts,
    *,
    held_out: CalibrationPosts | None = None,
    plot: Path | None = None,
    seed: int = 0,
    num_resamples: int = DEFAULT_NUM_RESAMPLES,
) -> CalibrationReport:
    """Fit temperature and shift of the logit of the score, and write them into the manifest of a tuned model.

    Args:
        settings: Settings of tagging, with an adapter.
        dev: Annotated posts that the model was not trained on.
        held_out: Posts on which the change is measured; without them, those that it was fitted on.
        plot: PNG of the reliability plot, where a plot that is there already is made anew; by default
            ``reliability.png`` beside ``mner.json``.
        seed: Seed of the bootstrap.
        num_resamples: Number of resamples of the bootstrap.

    Raises:
        MnerError: The model or the posts cannot be used, or there is nothing to fit.
    """
    folder = None if settings.adapter is None else tuned_folder(settings.adapter)
    if folder is None:
        raise ModelError(f"{settings.adapter} holds no adapter; name the run folder that 'finetune' made")
    if plot is not None:
        check_output_file(plot, own_mark=PLOT_MARK)
    plot = plot or folder / PLOT_NAME
    with exclusive(folder / FILE_NAME), exclusive(plot):
        return _calibrate(folder, settings, dev, held_out, plot, seed, num_resamples)


def _calibrate(
    folder: Path,
    settings: TaggingSettings,
    dev: CalibrationPosts,
    held_out: CalibrationPosts | None,
    plot: Path,
    seed: int,
    num_resamples: int,
) -> CalibrationReport:
    manifest, prompt = Manifest.load(folder)
    check_place(plot)
    takes_pictures = manifest.max_images > 0
    fitted_on = dev.load(takes_pictures=takes_pictures)
    measured_on = fitted_on if held_out is None else held_out.load(takes_pictures=takes_pictures)
    for dataset in (fitted_on, measured_on):
        _refuse_training_data(manifest, dataset)
        _refuse_other_types(manifest, dataset)
    quiet_libraries()
    local = settings.of_one_process()
    with working(f"loading {local.endpoint or local.local_name}"):
        tagger = Tagger.of_settings(local, ()).without_calibration()
    judged = _judge(tagger, fitted_on)
    scaling = fit_scaling(judged)
    measured = judged if held_out is None else _judge(tagger, measured_on)
    if not len(measured.scores):
        raise DataError(f"{measured_on.path}: no entity was predicted, nothing can be measured; give more posts")
    report = CalibrationReport(
        scaling=scaling,
        fitted_on=shown_name(fitted_on),
        measured_on=shown_name(measured_on),
        num_posts=measured.num_posts,
        num_entities=len(measured.scores),
        num_right=int(measured.right.sum()),
        before=measure(measured, seed=seed, num_resamples=num_resamples),
        after=measure(measured.with_scaling(scaling), seed=seed, num_resamples=num_resamples),
        manifest=folder / FILE_NAME,
        plot=plot,
    )
    plot_reliability(report)
    calibration = Calibration(
        temperature=scaling.temperature,
        shift=scaling.shift,
        engine=local.engine,
        dataset=report.fitted_on,
        sha256=fitted_on.sha256,
        num_entities=len(judged.scores),
    )
    manifest.model_copy(update={"calibration": calibration}).save(folder, prompt)
    return report


def _refuse_training_data(manifest: Manifest, dataset: Dataset) -> None:
    if any(stamp.role == "train" and stamp.is_of(dataset) for stamp in manifest.all_datasets):
        raise DataError(
            f"{dataset.path}: the model was trained on these posts, on which it is surer than on others; give posts "
            "that it has not seen, such as those of dev"
        )


def _refuse_other_types(manifest: Manifest, dataset: Dataset) -> None:
    known = manifest.answer.labels.names
    others = sorted({each.label for post in dataset.examples for each in post.entities or ()} - set(known))
    if others:
        raise DataError(
            f"{dataset.path}: types that this model cannot answer with: {', '.join(others)}; it knows "
            f"{', '.join(known)}. Rename them, or leave out the posts that hold them"
        )


def _judge(tagger: Tagger, dataset: Dataset) -> Judged:
    predictions = tracked(
        tagger.predict(dataset.examples, dataset.picture_paths), f"tagging {dataset.name}", len(dataset.examples)
    )
    return judge(pair_posts(dataset.examples, list(predictions)))
