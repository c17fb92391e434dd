"""Gates of a starter that is no part of ``eval.prove``, one JSON object a line.

``python -m eval.experiments.measure_starter FOLDER [GATE …]`` for a starter of level 1, and ``starter-135m`` in the
place of the folder for the one with the decoder of SmolLM2.
"""

from __future__ import annotations

import json
import sys

from eval.gates import starter
from eval.gates.common import Result
from instruct_mner.models.locations import STARTER_135M


def starter_lora(bench: starter.Bench) -> Result:
    """Compare LoRA with zero-shot, over three seeds."""
    return starter.starter_lora(bench, seeds=(0, 1, 2))


GATES = (
    starter.starter_size,
    starter.starter_lookup,
    starter.starter_scores,
    starter.starter_renamed,
    starter.starter_boxes,
    starter_lora,
)
GATES_135M = (starter.starter_lookup, starter.starter_scores, starter.starter_renamed, starter.starter_boxes)


def main() -> None:
    """Run the command line."""
    model, *chosen = sys.argv[1:]
    is_joined = model == STARTER_135M
    bench = starter.joined(model) if is_joined else starter.level_1(model)
    for gate in GATES_135M if is_joined else GATES:
        name = gate.__name__.removeprefix("starter_")
        if chosen and name not in chosen:
            continue
        result = gate(bench)
        entry = {"gate": name, "model": model, "level": bench.level}
        entry |= {"passed": result.passed, "bound": result.bound, "value": result.value}
        print(json.dumps(entry, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
