"""The main program of the demo: twelve posts, a tiny model, before and after, and a page to look at."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from instruct_mner.data import Dataset, load_split
from instruct_mner.errors import ConfigError
from instruct_mner.files import replacing
from instruct_mner.page import PageColumn, PagePost, PageTable, write_page
from instruct_mner.quiet import quiet_libraries
from instruct_mner.records import LabelSet, Prediction
from instruct_mner.starter.dozen import write_dozen

if TYPE_CHECKING:
    from instruct_mner.tagging import Tagger
    from instruct_mner.training.config import FinetuneConfig

MARKER = ".made-by-instruct-mner-demo"

_MADE = ("posts.jsonl", "pictures", "tiny-model", "run", "before.jsonl", "after.jsonl", "index.html")
# All twelve posts are one batch, so an epoch is a step.
_EPOCHS = 120
_LABELS = LabelSet.of(["PER", "LOC", "ORG", "MISC"])
_WHAT_IT_IS = (
    "This is not a tagger. A tiny model with random weights is made on the spot and trained on twelve posts until "
    "it knows them by heart; it is then asked about the same twelve posts. It can do nothing else.",
    "What it shows is the way of the data: posts with pictures go in, spans of the text, types, boxes and "
    "confidences come out, and scores. The same steps with a real base model and your posts make a tagger.",
)


def demo(folder: Path) -> Path:
    """Trains a tiny model on the dozen, tags it before and after, prints the scores and writes a page.

    Args:
        folder: Where everything is left; what an earlier demo left there is replaced.

    Returns:
        The page.

    Raises:
        ConfigError: The folder holds something that no demo made.
    """
    started = time.monotonic()
    # Before the libraries: a folder that cannot be used is told at once.
    _clear(folder)
    quiet_libraries()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("\n\n".join(_WHAT_IT_IS) + "\n", soft_wrap=False)

    from instruct_mner.tagging import Tagger
    from instruct_mner.training.finetune import finetune

    dataset = load_split(str(write_dozen(folder)))
    config = _config(folder, dataset)

    with _one_thread():
        run = finetune(config, console)
        before = _tag(_untrained(config, run), dataset, folder / "before.jsonl")
        after = _tag(Tagger.from_pretrained(run), dataset, folder / "after.jsonl")
    scores = _scores(dataset, before, after)
    page = folder / "index.html"
    write_page(
        page,
        title="instruct-mner demo: twelve posts learned by heart",
        notes=_WHAT_IT_IS,
        rows=_rows(dataset, before, after),
        scores=scores,
    )
    _say_how_it_went(scores, page, time.monotonic() - started)
    return page


def _clear(folder: Path) -> None:
    """Makes the folder, or empties it of what an earlier demo made."""
    marker = folder / MARKER
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--output {folder} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not marker.is_file():
        raise ConfigError(f"--output {folder} holds something that no demo made; choose another folder (--output DIR)")
    for name in _MADE:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with replacing(marker) as file:
        file.write("'instruct-mner demo' replaces in this folder: " + ", ".join(_MADE) + "\n")


def _config(folder: Path, dataset: Dataset) -> FinetuneConfig:
    """The run, with its base model made on the spot.

    Dev is train, which is wrong for every use but this one: whether the posts are known by heart is the
    question.
    """
    from instruct_mner.answers import AnswerSpec
    from instruct_mner.models.tiny import build_tiny
    from instruct_mner.prompts import find_prompt
    from instruct_mner.training.config import FinetuneConfig

    instruction = find_prompt("tag-grounded").instruction(AnswerSpec(labels=_LABELS, grounded=True))
    model = build_tiny(
        "idefics3",
        folder / "tiny-model",
        texts=[instruction, *(example.text for example in dataset.examples)],
        width=128,
        vocabulary=1000,
    )
    return FinetuneConfig.model_validate(
        {
            "model": str(model),
            "data": {"train": str(dataset.path), "dev": str(dataset.path)},
            "labels": _LABELS,
            "answer": {"grounded": True, "max_entities": 4},
            "tuning": "full",
            "optimizer": {"epochs": _EPOCHS, "batch_size": 12, "learning_rate": 2e-3, "warmup_steps": 10},
            # Once, at the end: of several checkpoints the first that knows the spans would be kept, and its
            # boxes are still far off.
            "evaluation": {"every_steps": _EPOCHS},
            "output": folder / "run",
        }
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keeps torch to one thread: in a model this small, several mostly wait for each other."""
    import torch

    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def _untrained(config: FinetuneConfig, run: Path) -> Tagger:
    """The base model, asked in the very way in which the tuned one is."""
    from instruct_mner.engines.transformers import TransformersEngine
    from instruct_mner.manifest import Manifest
    from instruct_mner.models.loading import load_model
    from instruct_mner.tagging import Tagger

    manifest, prompt = Manifest.load(run / "model")
    return Tagger(TransformersEngine(load_model(config.model)), manifest, prompt)


def _tag(tagger: Tagger, dataset: Dataset, path: Path) -> tuple[Prediction, ...]:
    predictions = tuple(tagger.predict(dataset.examples, dataset.picture_paths))
    with replacing(path) as file:
        for prediction in predictions:
            file.write(prediction.model_dump_json(exclude_none=True) + "\n")
    return predictions


def _scores(dataset: Dataset, *predicted: Sequence[Prediction]) -> PageTable:
    """F1 in percent, a column for each set of predictions."""
    from instruct_mner.scoring import score_spans, score_triples

    spans = [score_spans(dataset.examples, each) for each in predicted]
    triples = [score_triples(dataset.examples, each) for each in predicted]
    rows = {
        "span and type": [each.micro for each in spans],
        "span only": [each.span_only for each in spans],
        "span, type and box": [each.gmner for each in triples],
    }
    return PageTable(
        head=("F1, %, on what it was trained on", "random weights", "after training"),
        rows=[(name, *(f"{100 * tally.score.f1:.1f}" for tally in tallies)) for name, tallies in rows.items()],
    )


def _rows(dataset: Dataset, before: Sequence[Prediction], after: Sequence[Prediction]) -> list[PagePost]:
    rows = []
    for example, first, second in zip(dataset.examples, before, after, strict=True):
        paths = dataset.picture_paths(example)
        columns = (
            PageColumn("gold", example.gold),
            PageColumn("random weights", first.entities, _rejected(first)),
            PageColumn("after training", second.entities, _rejected(second)),
        )
        rows.append(PagePost(example.text, paths[0] if paths else None, columns))
    return rows


def _rejected(prediction: Prediction) -> str:
    total = prediction.rejected.total
    return f"{total} item(s) of the answer rejected" if total else ""


def _say_how_it_went(scores: PageTable, page: Path, seconds: float) -> None:
    table = Table()
    for index, cell in enumerate(scores.head):
        table.add_column(cell, justify="right" if index else "left")
    for row in scores.rows:
        table.add_row(*row)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print("A tiny model that knows these twelve posts by heart and nothing else: not a tagger.")
    console.print(f"{seconds:.0f} seconds. The page to look at: {page}", markup=False)
