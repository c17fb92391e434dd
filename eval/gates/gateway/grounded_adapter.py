"""A small adapter that writes boxes: the starter, fine-tuned on pictures with coloured rectangles.

    python -m eval.gates.gateway.grounded_adapter --folder runs/grounded

The rectangles are drawn from a seed; those of the probes are not among them by intent.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from rich.console import Console

from eval.gates.common import seeded
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.finetune import finetune

_COLOURS = {"red": (200, 25, 25), "blue": (30, 60, 200), "green": (30, 150, 60), "yellow": (230, 200, 40)}
_SIZES = ((448, 448), (896, 448), (448, 896), (640, 480), (320, 320))


def _rectangle(generator: random.Random, size: tuple[int, int]) -> tuple[int, int, int, int]:
    sides = [round(side * generator.uniform(0.18, 0.55)) for side in size]
    x, y = (generator.randint(0, whole - side) for whole, side in zip(size, sides, strict=True))
    return x, y, x + sides[0], y + sides[1]


def _apart(box: tuple[int, ...], others: list[tuple[int, ...]]) -> bool:
    return all(box[2] <= o[0] or o[2] <= box[0] or box[3] <= o[1] or o[3] <= box[1] for o in others)


def _post(generator: random.Random, number: int, folder: Path) -> dict[str, Any]:
    """Draw a picture with one or two rectangles, and return the post about one of them."""
    size = generator.choice(_SIZES)
    light = generator.randint(200, 250)
    picture = Image.new("RGB", size, (light, light, light))
    names = generator.sample(sorted(_COLOURS), generator.choice((1, 1, 2)))
    boxes: list[tuple[int, ...]] = []
    for name in names:
        box = next((b for b in (_rectangle(generator, size) for _ in range(30)) if _apart(b, boxes)), None)
        if box is None:
            break
        boxes.append(box)
        colour = tuple(max(0, min(255, value + generator.randint(-20, 20))) for value in _COLOURS[name])
        ImageDraw.Draw(picture).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=colour)
    file = f"{number}.png"
    picture.save(folder / file)
    text = f"The {names[0]} square"
    entity = {"start": 0, "end": len(text), "text": text, "label": "THING", "boxes": [{"image": 0, "box": boxes[0]}]}
    return {"id": str(number), "text": text, "images": [file], "entities": [entity]}


def make_posts(folder: Path, name: str, num: int, seed: int) -> Path:
    """Write posts about rectangles, and return their file."""
    pictures = folder / name
    pictures.mkdir(parents=True, exist_ok=True)
    generator = seeded(seed)
    path = pictures / "posts.jsonl"
    path.write_text("".join(json.dumps(_post(generator, number, pictures)) + "\n" for number in range(num)))
    return path


def make_adapter(folder: Path, *, num: int = 1_200, epochs: int = 4) -> Path:
    """Fine-tune the starter, and return the run folder."""
    config = FinetuneConfig.model_validate(
        {
            "model": "starter",
            "data": {
                "train": str(make_posts(folder, "train", num, 1)),
                "dev": str(make_posts(folder, "dev", 40, 2)),
            },
            "labels": {"THING": "an object in the picture"},
            "answer": {"grounded": True, "max_entities": 8},
            "lora": {"rank": 16, "alpha": 32, "dropout": 0.0},
            "optimizer": {
                "epochs": epochs,
                "batch_size": 16,
                "learning_rate": 4e-3,
                "warmup_steps": 10,
                "share_prompt_prefix": True,
            },
            "evaluation": {"batch_size": 40},
            "output": folder / "run",
        }
    )
    return finetune(config, Console(stderr=True))


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--posts", type=int, default=1_200)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    print(make_adapter(arguments.folder, num=arguments.posts, epochs=arguments.epochs))


if __name__ == "__main__":
    main()
