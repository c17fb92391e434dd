"""Cost of the alignment objectives as step time over plain fine-tuning, in one run.

    python -m eval.benchmarks.bench_alignment

The default model has SmolVLM-256M's shape and random weights, with 832 image tokens and 140 text tokens a post;
``--model`` names any other. A step is all of it: collation, forwards, backward, optimiser. Arms take turns, step by
step, so that a busy machine slows all of them; the report holds the median of the ratios of each turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "grounding, attention": {"region_span_grounding": {"through": "attention"}},
    "grounding, head": {"region_span_grounding": {"through": "head"}},
    "cross_view": {"cross_view": {}},
    "information_bottleneck": {"information_bottleneck": {}},
    "generative": {"generative": {}},
    "all four": {
        "cross_view": {},
        "information_bottleneck": {},
        "region_span_grounding": {"through": "head"},
        "generative": {},
    },
}
# A picture of 4 x 3 is cut into 12 tiles, which with the whole are 13 x 64 = 832 image tokens.
PICTURE = (1024, 768)


@dataclass
class Arm:
    """Arm of the benchmark and the times of its steps.

    Attributes:
        trainer: Trainer of the arm, on the base model that all arms share.
        collator: Collator with the views of the arm.
        seconds: Times of its steps.
        vision: Times in the vision tower.
        decoder: Number of forwards of the decoder in a step.
    """

    trainer: Any
    collator: Any
    seconds: list[float] = field(default_factory=list)
    vision: list[float] = field(default_factory=list)
    decoder: int = 0


def smolvlm_256m(folder: Path, vision_layers: int, dtype: torch.dtype = torch.float32) -> str:
    """Write a model of SmolVLM-256M's shape with random weights and a small tokenizer, and return its folder.

    The table of embeddings is as large as the real one's.

    Source: config.json of https://huggingface.co/HuggingFaceTB/SmolVLM-256M-Instruct.
    """
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3ImageProcessor, Idefics3Processor

    from instruct_mner.prompting.templates import find_prompt
    from instruct_mner.testing.idefics import VOCABULARY
    from instruct_mner.testing.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(VOCABULARY, [find_prompt("tag").source] * 4, 1000)
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<end_of_utterance>"])
    text = {
        "model_type": "llama", "vocab_size": 49280, "hidden_size": 576, "intermediate_size": 1536,
        "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64,
        "max_position_embeddings": 8192, "bos_token_id": start, "eos_token_id": end,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": vision_layers, "num_attention_heads": 12,
        "image_size": 512, "patch_size": 16,
    }  # fmt: skip
    config = Idefics3Config(
        vision_config=vision, text_config=text, scale_factor=4, tie_word_embeddings=True,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    images = Idefics3ImageProcessor(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512})
    processor = Idefics3Processor(images, tokenizer, image_seq_len=64, chat_template=VOCABULARY.chat_template)
    Idefics3ForConditionalGeneration(config).to(dtype).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def write_posts(folder: Path, number: int, words: int) -> Path:
    """Write posts of a number of words with two entities each, one of them visible, and return the file."""
    from instruct_mner.data.jsonl import write_jsonl
    from instruct_mner.schema.records import Box, Entity, Example

    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for index in range(number):
        text = "Ann in Paris" + " one" * (words - 3)
        Image.effect_noise(PICTURE, 60 + index).convert("RGB").save(folder / f"{index}.png")
        entities = (
            Entity(start=0, end=3, text="Ann", label="PER", boxes=(Box(box=(100, 100, 500, 600)),)),
            Entity(start=7, end=12, text="Paris", label="LOC", boxes=()),
        )
        examples.append(Example(id=str(index), text=text, images=(f"{index}.png",), entities=entities))
    write_jsonl(folder / "posts.jsonl", examples)
    return folder / "posts.jsonl"


def make_arms(model: str, posts: Path, folder: Path, batch_size: int, names: Sequence[str]) -> dict[str, Arm]:
    """Return the arms, all on one base model with one LoRA."""
    from rich.console import Console

    from instruct_mner.training.config import FinetuneConfig
    from instruct_mner.training.finetune import build_trainer
    from instruct_mner.training.forwards import Forwards
    from instruct_mner.training.setup import prepare

    arms: dict[str, Arm] = {}
    shared: Any = None
    for name in names:
        config = FinetuneConfig.model_validate(
            {
                "model": model, "data": {"train": str(posts)}, "alignment": ARMS[name],
                "optimizer": {"batch_size": batch_size}, "output": str(folder / name),
            }
        )  # fmt: skip
        run = prepare(config)
        trainer = build_trainer(run, folder / name / "checkpoints", Console(quiet=True))
        if shared is None:
            shared = trainer
        else:  # the memory of one base model is enough
            heads, trainer.model = trainer.heads, shared.model
            trainer.model_wrapped = shared.model
            base, forwards = shared.model.get_base_model(), trainer._forwards
            trainer._forwards = Forwards(
                base=base,
                loaded=run.loaded,
                needs=forwards._needs,
                autocast=trainer.accelerator.autocast,
                share_prompt_prefix=forwards._share_prompt_prefix,
            )
            trainer.heads = heads
        trainer.current_gradient_accumulation_steps = 1
        own = [] if trainer.heads is None else list(trainer.heads.parameters())
        lora = [parameter for parameter in shared.model.parameters() if parameter.requires_grad]
        trainer.optimizer = torch.optim.AdamW([*lora, *own], lr=1e-4)
        arms[name] = Arm(trainer, run.collator)
    return arms


def step(arm: Arm, rows: list[dict[str, int]], clock: dict[str, float]) -> None:
    """Run and time one step of an arm."""
    clock["vision"], clock["decoder"] = 0.0, 0
    _settle()
    begin = _seconds()
    batch = arm.collator(rows)
    trainer = arm.trainer
    num_items = (batch["labels"] != -100).sum()
    trainer.model.train()
    trainer.training_step(trainer.model, batch, num_items)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    _settle()
    arm.seconds.append(_seconds() - begin)
    arm.vision.append(clock["vision"])
    arm.decoder = int(clock["decoder"])


def _seconds() -> float:
    """Return wall-clock seconds on a GPU; on a CPU those of this process, whatever else the machine does."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} thread(s), seconds of the processor"


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def watch(arms: dict[str, Arm], loaded: Any) -> dict[str, float]:
    """Time the vision tower, and count forwards of the decoder."""
    clock = {"vision": 0.0, "decoder": 0.0, "began": 0.0}
    base = next(iter(arms.values())).trainer.model.get_base_model()

    def begins(module: Any, arguments: Any) -> None:
        _settle()
        clock["began"] = _seconds()

    def ends(module: Any, arguments: Any, output: Any) -> None:
        _settle()
        clock["vision"] += _seconds() - clock["began"]

    def decodes(module: Any, arguments: Any) -> None:
        clock["decoder"] += 1

    vision = base.get_submodule(loaded.family.vision_paths[0])
    vision.register_forward_pre_hook(begins)
    vision.register_forward_hook(ends)
    base.get_submodule(loaded.family.decoder_path).register_forward_pre_hook(decodes)
    return clock


def measure(
    model: str | None, batch_size: int, steps: int, words: int, names: Sequence[str], vision_layers: int
) -> dict[str, Any]:
    """Run all arms and return their times."""
    from instruct_mner.console import quiet_libraries
    from instruct_mner.training.batch import VIEWS

    quiet_libraries()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        posts = write_posts(folder / "posts", batch_size * 2, words)
        arms = make_arms(model or smolvlm_256m(folder / "model", vision_layers), posts, folder, batch_size, names)
        loaded = next(iter(arms.values())).trainer._forwards._loaded
        clock = watch(arms, loaded)
        sample = arms[names[-1]].collator([{"index": 0}])
        text = sample[VIEWS].text if VIEWS in sample else None
        bare = (sample if text is None else text.batch)["attention_mask"].sum()
        images = (sample["input_ids"] == loaded.image_token_id).sum()
        for number in range(steps + 1):  # the first is for warming up
            rows = [{"index": (number * batch_size + index) % (batch_size * 2)} for index in range(batch_size)]
            # Whoever goes first pays for what the last one left behind, so nobody always does.
            for name in [*names[number % len(names) :], *names[: number % len(names)]]:
                step(arms[name], rows, clock)
            print(f"step {number}: " + ", ".join(f"{n} {arm.seconds[-1]:.2f}" for n, arm in arms.items()), flush=True)
    return {
        "model": model or f"SmolVLM-256M's shape, random weights, {vision_layers} of 12 layers of the vision tower",
        "image tokens": int(images), "text tokens": int(bare), "batch": batch_size, "steps": steps,
        "device": _device(),
        "arms": _table(arms),
    }  # fmt: skip


def _table(arms: dict[str, Arm]) -> dict[str, dict[str, float]]:
    """Return the medians over the steps of the ratio to plain in the same turn."""
    plain = arms["plain"]
    medians = {}
    for name, arm in arms.items():
        pairs = list(zip(arm.seconds, plain.seconds, arm.vision, plain.vision, strict=True))[1:]
        medians[name] = {
            "seconds": round(statistics.median(arm.seconds[1:]), 3),
            "over plain": round(statistics.median(own / base for own, base, _, _ in pairs), 3),
            "over plain without the vision tower": round(
                statistics.median((own - seen) / (base - saw) for own, base, seen, saw in pairs), 3
            ),
            "forwards of the decoder": arm.decoder,
        }
    return medians


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="hub name or folder; default SmolVLM-256M's shape with random weights")
    parser.add_argument("--batch-size", type=int, default=2, help="posts in a step; default 2")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each arm; default 5")
    parser.add_argument("--words", type=int, default=48, help="words of a post; default 48")
    parser.add_argument(
        "--vision-layers",
        type=int,
        default=12,
        help="layers of the vision tower, at most 12; fewer make the ratios larger, since all arms share it",
    )
    parser.add_argument(
        "--arms", nargs="+", choices=list(ARMS), default=list(ARMS), help="arms to run, plain first; default all"
    )
    arguments = parser.parse_args()
    report = measure(
        arguments.model,
        arguments.batch_size,
        arguments.steps,
        arguments.words,
        arguments.arms,
        arguments.vision_layers,
    )
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
