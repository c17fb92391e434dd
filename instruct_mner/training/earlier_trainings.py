"""Trainings before a run, of its base or of the adapter that is reinforced: their data count as seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from instruct_mner.errors import DataError, listing
from instruct_mner.models.manifest import DatasetStamp, Manifest
from instruct_mner.schema.choices import LeakPolicy


def continued(own: Manifest, before: Manifest | None, policy: LeakPolicy) -> Manifest:
    """Return the manifest of a run, with the data of the trainings before it.

    Args:
        own: Manifest of the run alone.
        before: Manifest of the weights that it begins with; ``None`` where they were not tuned.
        policy: Treatment of evaluation sets of the run that they were trained on; they cannot be dropped from it.

    Raises:
        DataError: There are such, and leaks are not allowed.
    """
    manifest = own.after(before)
    seen = [stamp for training in manifest.earlier for stamp in training if stamp.role != "evaluation"]
    lines = tuple(
        f"{test.title}: the model was trained on it, or chosen by it, before this run"
        for test in _evaluated(own.datasets)
        if any(test.is_of(stamp) for stamp in seen)
    )
    if lines and policy != "allow":
        raise DataError(
            f"the model that the run begins with has seen sets of data.evaluate_on:\n{listing(lines)}\n"
            "evaluate on other posts, or begin with another model; --leaks allow (data.leaks) goes on, and stamps "
            "LEAKED on what comes of it"
        )
    return manifest.model_copy(update={"leaked": tuple(dict.fromkeys([*manifest.leaked, *lines]))})


def describe_earlier(manifest: Manifest, leaked: Sequence[str]) -> Iterator[str]:
    """Iterate over the remarks on trainings before a run, a line each.

    Args:
        manifest: Manifest of the run.
        leaked: Leaks of the data of the run itself, which are told with these.
    """
    for training in manifest.earlier:
        trained = ", ".join(f"{each.title} ({each.num_posts} posts)" for each in training if each.role == "train")
        yield f"earlier   the model was trained on {trained or 'nothing that it names'} before"
        for test in _evaluated(training):
            if any(each.role == "train" and each.is_of(test) for each in manifest.datasets):
                yield f"note      {test.title} was a set to evaluate that model on, and is trained on now"
    for line in manifest.leaked:
        if line not in leaked:
            yield f"LEAKED    {line}"


def _evaluated(stamps: Sequence[DatasetStamp]) -> list[DatasetStamp]:
    return [stamp for stamp in stamps if stamp.role == "evaluation"]
