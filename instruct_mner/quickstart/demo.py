"""The main program of the demo: posts, the starter model, fine-tuning, before and after, and a page to look at."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from instruct_mner.console import quiet_libraries
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.loading import load_split
from instruct_mner.data.pictures import picture_source
from instruct_mner.files import replacing
from instruct_mner.quickstart.demo_folder import clear_demo_folder
from instruct_mner.quickstart.demo_serving import server
from instruct_mner.report.files import write_report
from instruct_mner.report.page import PageTable, PageText
from instruct_mner.schema.choices import ImageSource
from instruct_mner.schema.records import Prediction
from instruct_mner.scoring import score_spans
from instruct_mner.scoring.table import plain_table
from instruct_mner.synthetic.label_sets import HELD_OUT
from instruct_mner.synthetic.posterior import bound
from instruct_mner.synthetic.posts import SyntheticPost, posts
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.vocabulary import SPLITS, Split
from instruct_mner.synthetic.write import CONDITIONS, synth
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.finetune import finetune

_SOURCES: dict[str, ImageSource] = {"with the picture": "own", "text alone": "none", "pictures shuffled": "shuffled"}
_WHAT_IT_IS = (
    "The starter model is a vision-language model of 6 million weights that this project trained from scratch on "
    "synthetic posts: it learned to read, to look, and to name people, places, groups and things. Here it meets four "
    "types, their drawings and a way to say where (north west, …) that it has never seen.",
    "First it is asked without any training; then it is fine-tuned with LoRA, with the same command that tunes a real "
    "model on your posts, while its attention is taught where each name is to be seen; and it is asked again. Because "
    "the posts are synthetic, the best score that any tagger can reach "
    f"is known exactly, {CONDITIONS}: it is the last column.",
)


@dataclass(frozen=True)
class DemoSize:
    """Numbers of posts: to train on, to choose the checkpoint by, and to score.

    ``served``: whether those to score are tagged through ``serve`` as well, where vLLM is installed.
    """

    train: int = 1000
    dev: int = 166
    test: int = 120
    served: bool = True

    def of(self, split: Split) -> int:
        """Return the number of posts of one split."""
        return {"train": self.train, "dev": self.dev, "test": self.test}[split]


def synthesis_of(split: Split) -> Synthesis:
    """Return the distribution of the demo's posts: all that the starter has never seen."""
    return Synthesis(domain=HELD_OUT, linking="winds", split=split)


def demo(folder: Path, size: DemoSize | None = None) -> Path:
    """Tag synthetic posts with the starter, fine-tune it, tag again, score both, and write a page.

    Args:
        folder: Folder of all output; output of an earlier demo there is replaced.
        size: Numbers of posts.

    Returns:
        The page.

    Raises:
        ConfigError: The folder holds something that no demo made.
    """
    size = size or DemoSize()
    started = time.monotonic()
    clear_demo_folder(folder)
    quiet_libraries()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("\n\n".join(_WHAT_IT_IS) + "\n", soft_wrap=False)
    for split in SPLITS:
        written = synth(folder / "data", synthesis_of(split), size.of(split), seed=0)
        console.print(f"made      {written.path}, {size.of(split)} posts", markup=False)
    dataset = load_split(str(folder / "data" / "test.jsonl"))

    console.print("tagging   with the starter as it is")
    before = _tag_all(Tagger.from_pretrained("starter"), dataset, folder / "predictions" / "before")
    run = finetune(_config(folder), console)
    with server(run, console) if size.served else nullcontext() as serving:
        # vLLM starts meanwhile.
        console.print("tagging   with the fine-tuned starter")
        after = _tag_all(Tagger.from_pretrained(run), dataset, folder / "predictions" / "after")
        served = None if serving is None else serving.tag(dataset)
    if served is not None:
        _write(served, folder / "predictions" / "served" / "own.jsonl")

    made = list(itertools.islice(posts(synthesis_of("test"), 0), size.test))
    scores = _scores(dataset, made, served, before, after)
    page = folder / "index.html"
    predictions = {"starter, zero-shot": before["own"], "fine-tuned": after["own"]}
    write_report(
        page,
        PageText(title="instruct-mner demo: a small model learns to look", paragraphs=_WHAT_IT_IS, tables=[scores]),
        dataset,
        predictions if served is None else {**predictions, "fine-tuned, served by vLLM": served},
    )
    _say_how_it_went(scores, page, time.monotonic() - started)
    return page


def _config(folder: Path) -> FinetuneConfig:
    """Return the run: what 'instruct-mner finetune' would be given for these posts."""
    return FinetuneConfig.model_validate(
        {
            "model": "starter",
            "data": {"train": str(folder / "data" / "train.jsonl"), "dev": str(folder / "data" / "dev.jsonl")},
            "labels": HELD_OUT.label_set(definitions=True),
            "answer": {"max_entities": 8},
            # From here on those of adapters/starter.yaml.
            "lora": {"rank": 16, "alpha": 32, "dropout": 0.0},
            "alignment": {"region_span_grounding": {"layer": 3, "heads": (2, 3)}},
            "optimizer": {
                "epochs": 4,
                "batch_size": 16,
                "learning_rate": 4e-3,
                "warmup_steps": 10,
            },
            "evaluation": {"batch_size": 64},
            "output": folder / "run",
        }
    )


def _tag_all(tagger: Tagger, dataset: Dataset, folder: Path) -> dict[ImageSource, tuple[Prediction, ...]]:
    """Return predictions with the own picture, without any, and with that of another post."""
    predictions_of: dict[ImageSource, tuple[Prediction, ...]] = {}
    for source in _SOURCES.values():
        pictures = picture_source(dataset, source)
        predictions_of[source] = tuple(
            tagger.predict(dataset.examples, pictures, labels=HELD_OUT.label_set(definitions=True))
        )
        _write(predictions_of[source], folder / f"{source}.jsonl")
    return predictions_of


def _write(predictions: Sequence[Prediction], path: Path) -> None:
    with replacing(path) as file:
        file.writelines(each.model_dump_json(exclude_none=True) + "\n" for each in predictions)


def _scores(
    dataset: Dataset,
    made: Sequence[SyntheticPost],
    served: Sequence[Prediction] | None,
    *predicted: Mapping[ImageSource, Sequence[Prediction]],
) -> PageTable:
    """F1 in percent: a row for each way of asking, a column for each model and one for the best possible."""
    best = {"own": bound(made).expected, "none": bound(made, with_picture=False).expected}
    rows = []
    for name, source in _SOURCES.items():
        scored = [score_spans(dataset.examples, each[source]).micro.score.f1 for each in predicted]
        rows.append((f"span and type, {name}", *(f"{100 * f1:.1f}" for f1 in scored), _percent(best.get(source))))
    if served is not None:
        f1 = score_spans(dataset.examples, served).micro.score.f1
        rows.insert(1, ("the same, served by vLLM", "", f"{100 * f1:.1f}", _percent(best["own"])))
    spans = [score_spans(dataset.examples, each["own"]).span_only.score.f1 for each in predicted]
    rows.append(("span only", *(f"{100 * f1:.1f}" for f1 in spans), "100.0"))
    return PageTable(
        title="F1 in percent, beside the best that any tagger can reach",
        head=("F1, %", "starter, zero-shot", "fine-tuned", "best possible"),
        rows=rows,
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _say_how_it_went(scores: PageTable, page: Path, seconds: float) -> None:
    first, *others = scores.head
    table = plain_table(first)
    for cell in others:
        table.add_column(cell, justify="right")
    for row in scores.rows:
        table.add_row(*row)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"Best possible: {CONDITIONS}. Synthetic posts, starter model; no score of real posts.")
    console.print(f"{seconds:.0f} seconds. The page to look at: {page}", markup=False)
