"""Scores of a run: right answers by mention, and a probe of its states."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.loading import load_split
from instruct_mner.data.pictures import picture_source
from instruct_mner.engines.generated import GeneratedPictureEngine
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.images import open_image
from instruct_mner.models.hooks import capture
from instruct_mner.models.loading import LoadedModel, load_adapter, load_model
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.prefix_sharing import num_shared, shared_beginning
from instruct_mner.models.tuned import tuned
from instruct_mner.prompting.templates import Prompt
from instruct_mner.schema.records import Entity, Prediction
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.training.batch import VIEWS
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.setup import prepare

SCORES = "scores.json.gz"
_BATCH, _WINDOW = 128, 512


def loaded_and_merged(run: Path) -> tuple[LoadedModel, Manifest, Prompt]:
    """Return the model of a run with its adapter merged into it, which halves the work of tagging."""
    manifest, prompt = tuned(run / "adapter", ())
    loaded = load_adapter(load_model(manifest.base_model, pixels=manifest.pixels), run / "adapter")
    return loaded.merged(), manifest, prompt


def tagged(
    loaded: LoadedModel, manifest: Manifest, prompt: Prompt, dataset: Dataset, source: str, run: Path
) -> dict[str, Any]:
    """Tag posts, and return which of their mentions are predicted and how many items each answer has.

    Returns:
        ``right``: span and type, 0 or 1 for each mention; ``spans``: the span alone; ``predicted``: items of the
        answer, rejected ones too; ``points``: where answers hold boxes, for each visible mention whether the
        middle of the predicted box lies in one of its boxes, and -1 for others.
    """
    begin = time.process_time()
    generated = source == "generated"
    engine = (
        GeneratedPictureEngine(loaded, run / "alignment", _BATCH) if generated else TransformersEngine(loaded, _BATCH)
    )
    tagger = Tagger(engine, manifest, prompt, generated=generated)
    pictures = picture_source(dataset, "none" if generated else source)  # type: ignore[arg-type]
    predictions: list[Prediction] = []
    for start in range(0, len(dataset.examples), _WINDOW):
        window = dataset.examples[start : start + _WINDOW]
        opened = [(each, tuple(map(open_image, pictures(each)))) for each in window]
        predictions += tagger.predict_opened(opened)
    pairs = list(zip(dataset.examples, predictions, strict=True))
    scores: dict[str, Any] = {
        "right": [[_find(gold, each, typed=True) for gold in post.gold] for post, each in pairs],
        "spans": [[_find(gold, each, typed=False) for gold in post.gold] for post, each in pairs],
        "predicted": [len(each.entities) + each.rejected.total for _, each in pairs],
    }
    if manifest.answer.grounded and source == "own":
        scores["points"] = [[_points(gold, each) for gold in post.gold] for post, each in pairs]
    scores["processor_seconds"] = round(time.process_time() - begin, 1)
    return scores


def _find(gold: Entity, prediction: Prediction, *, typed: bool) -> int:
    return int(
        any(
            (each.start, each.end) == (gold.start, gold.end) and (not typed or each.label == gold.label)
            for each in prediction.entities
        )
    )


def _points(gold: Entity, prediction: Prediction) -> int:
    if not gold.boxes:
        return -1
    for each in prediction.entities:
        if (each.start, each.end) == (gold.start, gold.end) and each.boxes:
            x0, y0, x1, y1 = each.boxes[0].box
            across, down = (x0 + x1) / 2, (y0 + y1) / 2
            return int(any(b.box[0] <= across <= b.box[2] and b.box[1] <= down <= b.box[3] for b in gold.boxes))
    return 0


def pointing_by_probe(
    loaded: LoadedModel, config: FinetuneConfig, data: Path, split: str, *, layer: int, posts: int, steps: int
) -> float:
    """Return how often an attention head beside the frozen model, trained alike for every arm, finds the object.

    Its query is the last token of each visible mention, its keys are the image tokens of the post; both as they enter
    a decoder layer. It is trained on the first posts of ``train`` and right where its largest weight lies on a token
    of one of the mention's boxes.

    Args:
        loaded: Tuned model.
        config: Config of its run.
        data: Folder of the posts.
        split: Split to test on.
        layer: Index of the layer.
        posts: Number of posts to train on, and to test on.
        steps: Number of steps of Adam, on all posts at once.
    """
    trained = _states(loaded, config, load_split(str(data / "train.jsonl")), layer, posts)
    tested = _states(loaded, config, load_split(str(data / f"{split}.jsonl")), layer, posts)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        width = trained[0].shape[-1]
        query, key = nn.Linear(width, 64), nn.Linear(width, 64)
        optimizer = torch.optim.Adam([*query.parameters(), *key.parameters()], lr=3e-3, weight_decay=1e-4)
        for _ in range(steps):
            scores = torch.einsum("mw,mtw->mt", query(trained[0]), key(trained[1])) / 8
            inside = scores.masked_fill(~trained[2], float("-inf")).logsumexp(1) - scores.logsumexp(1)
            optimizer.zero_grad()
            (-inside.mean()).backward()
            optimizer.step()
    with torch.no_grad():
        scores = torch.einsum("mw,mtw->mt", query(tested[0]), key(tested[1]))
        best = scores.argmax(dim=1)
        return float(tested[2][torch.arange(len(best)), best].double().mean())


def _states(
    loaded: LoadedModel, config: FinetuneConfig, dataset: Dataset, layer: int, number: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return states of visible mentions, ``(mentions, width)``, of their image tokens, and masks of their regions."""
    changes = {
        # An objective that asks where mentions and regions stand.
        "alignment": {"region_span_grounding": {}},
        "data": {"train": str(dataset.path)},
        "model": config.model,
    }
    run = prepare(FinetuneConfig.model_validate({**config.model_dump(), **changes}))
    decoder = loaded.decoder
    spans: list[Tensor] = []
    tokens: list[Tensor] = []
    regions: list[Tensor] = []
    for start in range(0, number, 32):
        batch: Any = run.collator([{"index": index} for index in range(start, min(number, start + 32))])
        views = batch.pop(VIEWS)
        arguments = {name: value for name, value in batch.items() if name != "labels"}
        shared = num_shared(batch["input_ids"], loaded.image_token_id)
        with torch.no_grad(), shared_beginning(decoder, shared), capture(decoder, layers=(layer,)) as captured:
            loaded.model.eval()
            loaded.base.model(**arguments, use_cache=False)
        states = nn.functional.layer_norm(captured.layers[layer].float(), captured.layers[layer].shape[-1:])
        for number_in_batch, row in enumerate(views.rows):
            images = states[number_in_batch, batch["input_ids"][number_in_batch] == loaded.image_token_id]
            for mention in row.mentions:
                if mention.regions:
                    chosen = torch.zeros(len(images), dtype=torch.bool)
                    chosen[list(mention.regions)] = True
                    spans.append(states[number_in_batch, mention.span[1]])
                    tokens.append(images)
                    regions.append(chosen)
    return torch.stack(spans), torch.stack(tokens), torch.stack(regions)


def write_scores(path: Path, scores: dict[str, Any]) -> None:
    """Write the scores of a run, whole or not at all; equal scores give equal bytes."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(gzip.compress(json.dumps(scores).encode(), mtime=0))
    part.replace(path)


def read_scores(path: Path) -> dict[str, Any]:
    """Return the scores that :func:`write_scores` wrote."""
    scores: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return scores


def f1(scores: dict[str, Any], *, first: int | None = None) -> float:
    """Return strict F1."""
    rows: Sequence[Sequence[int]] = scores["right"][:first]
    right = sum(map(sum, rows))
    return 2 * right / max(1, sum(map(len, rows)) + sum(scores["predicted"][:first]))
