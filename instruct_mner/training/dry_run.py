"""``finetune --dry-run``: a report of what a run would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peft import get_peft_model
from rich.console import Console
from rich.text import Text

from instruct_mner.models.loading import count_adapted_modules, lora_config
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.datasets import Sources
from instruct_mner.training.setup import Run, prepare

# Number of posts whose tokens are counted.
_SAMPLE = 64


def dry_run(config: FinetuneConfig, console: Console, sources: Sources | None = None) -> None:
    """Print what a run would do: config, first post as rendered with its label mask, token budget, adapted modules.

    Args:
        config: Config of the run.
        console: Console of the report.
        sources: Data of the run, where they have been read.

    Raises:
        MnerError: The run itself would raise it.
    """
    run = prepare(config, sources)
    console.rule("config")
    console.print(config.to_yaml().rstrip(), markup=False)
    console.rule("data")
    console.print("\n".join(run.sources.describe()), markup=False)
    console.rule("first post as rendered; the loss is on what is underlined")
    console.print(_rendered(run))
    console.rule("tokens of a post")
    console.print(_budget(run))
    console.rule("adapted modules")
    console.print(_adapted(run), markup=False)


def _rendered(run: Run) -> Text:
    batch = run.collator.inputs([{"index": 0}])
    tokenizer = run.loaded.tokenizer
    image_token = run.loaded.image_token_id
    text = Text()
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    start = 0
    while start < len(ids):
        kind = _kind(ids[start], labels[start], image_token)
        end = start
        while end < len(ids) and _kind(ids[end], labels[end], image_token) == kind:
            end += 1
        if kind == "image":
            text.append(f"<{end - start} image tokens>", style="dim")
        else:
            text.append(tokenizer.decode(ids[start:end]), style="underline" if kind == "answer" else "")
        start = end
    answered = sum(label != -100 for label in labels)
    text.append(f"\n\n{len(ids)} tokens, {answered} of them carry the loss", style="bold")
    return text


def _kind(token: int, label: int, image_token: int) -> str:
    return "image" if token == image_token else "answer" if label != -100 else "question"


def _budget(run: Run) -> str:
    """Return the lengths of posts at even distances in the data."""
    count = len(run.train.examples)
    indices = range(0, count, max(1, count // _SAMPLE))
    lengths, images, answers = [], [], []
    for index in indices:
        batch = run.collator.inputs([{"index": index}])
        lengths.append(int(batch["attention_mask"].sum()))
        images.append(int((batch["input_ids"] == run.loaded.image_token_id).sum()))
        answers.append(int((batch["labels"] != -100).sum()))
    limit = run.loaded.model.config.get_text_config().max_position_embeddings
    rows = [
        f"of {len(lengths)} posts: median / most",
        f"all      {_median(lengths)} / {max(lengths)}   (the model takes {limit})",
        f"image    {_median(images)} / {max(images)}",
        f"answer   {_median(answers)} / {max(answers)}",
    ]
    return "\n".join(rows)


def _median(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]


def _adapted(run: Run) -> str:
    config, family = run.config, run.loaded.family
    if not config.adapts:
        return "none: all weights are tuned"
    lora = config.lora
    model: Any = get_peft_model(
        run.loaded.model, lora_config(family, rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout)
    )
    counts = count_adapted_modules(model, family)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    parts = "\n".join(f"{part:<24} {count}" for part, count in counts.items())
    return f"{parts}\n{trained:,} weights at rank {lora.rank}; pattern {family.lora_pattern}"
