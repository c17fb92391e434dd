"""Scores of the dev subset during training, which choose the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accelerate import PartialState
from accelerate.utils import gather_object

from instruct_mner.console import tracked
from instruct_mner.data.dataset import Dataset
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.manifest import Manifest
from instruct_mner.prompting.templates import Prompt
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring import score_spans, score_triples
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.training.sharding import forwards_in_step, is_sharded


def score_dev(
    dev: Dataset, loaded: LoadedModel, manifest: Manifest, prompt: Prompt, *, batch_size: int, with_boxes: bool
) -> dict[str, float]:
    """Tag posts as ``tag`` would and return their scores.

    Args:
        dev: Annotated posts.
        loaded: Model as it stands.
        manifest: Manifest of the run.
        prompt: Prompt template.
        batch_size: Number of posts tagged at once.
        with_boxes: Whether boxes are scored too.

    Returns:
        ``f1`` (typed, offset), ``span_f1`` (types ignored), ``rejected`` per predicted item and, with boxes,
        ``gmner_f1``, each in 0..1.
    """
    engine = TransformersEngine(loaded, batch_size, shares_prefix=not is_sharded())
    tagger = Tagger(engine, manifest, prompt)

    def predict(posts: Sequence[Example]) -> Iterator[Prediction]:
        return tracked(tagger.predict(posts, dev.picture_paths), "scoring dev", len(posts))

    with forwards_in_step(loaded):
        predictions = list(predict(_share(dev.examples)))
    predictions = list(gather_object(predictions)) if PartialState().num_processes > 1 else predictions
    report = score_spans(dev.examples, predictions)
    scores = {
        "f1": report.micro.score.f1,
        "span_f1": report.span_only.score.f1,
        "rejected": report.rejected.rate(report.rejected.total),
    }
    if with_boxes:
        scores["gmner_f1"] = score_triples(dev.examples, predictions).gmner.score.f1
    return scores


def _share(examples: Sequence[Example]) -> Sequence[Example]:
    """Return the posts that this process of a launch tags."""
    state = PartialState()
    return examples[state.process_index :: state.num_processes]
