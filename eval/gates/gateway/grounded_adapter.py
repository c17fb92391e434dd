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

_COLOURS = {"red": (195, 22, 22), "blue": (30, 60, 200)}
_SIZES = ((448, 448), (896, 448), (448, 896), (640, 480))


def _post(generator: random.Random, number: int, folder: Path) -> dict[str, Any]:
    """Draw a picture with a rectangle, and return the post about it."""
    size = generator.choice(_SIZES)
    light = generator.randint(215, 240)
    picture = Image.new("RGB", size, (light, light, light))
    sides = [round(side * generator.uniform(0.2, 0.55)) for side in size]
    x, y = (generator.randint(0, whole - side) for whole, side in zip(size, sides, strict=True))
    box = (x, y, x + sides[0], y + sides[1])
    name = generator.choice(sorted(_COLOURS))
    colour = tuple(max(0, min(255, value + generator.randint(-15, 15))) for value in _COLOURS[name])
    ImageDraw.Draw(picture).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=colour)
    file = f"{number}.png"
    picture.save(folder / file)
    text = f"The {name} square"
    entity = {"start": 0, "end": len(text), "text": text, "label": "THING", "boxes": [{"image": 0, "box": box}]}
    return {"id": str(number), "text": text, "images": [file], "entities": [entity]}


def make_posts(folder: Path, name: str, num: int, seed: int) -> Path:
    """Write posts about rectangles, and return their file."""
    pictures = folder / name
    pictures.mkdir(parents=True, exist_ok=True)
    generator = seeded(seed)
    path = pictures / "posts.jsonl"
    path.write_text("".join(json.dumps(_post(generator, number, pictures)) + "\n" for number in range(num)))
    return path


def make_adapter(folder: Path, *, num: int = 1_600, epochs: int = 5) -> Path:
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
    parser.add_argument("--posts", type=int, default=1_600)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    print(make_adapter(arguments.folder, num=arguments.posts, epochs=arguments.epochs))


if __name__ == "__main__":
    main()
