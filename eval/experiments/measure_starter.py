"""Gates of a starter of level 1, one JSON object a line: ``-m eval.experiments.measure_starter FOLDER [GATE …]``."""

from __future__ import annotations

import json
import sys

from eval.gates import starter
from eval.gates.common import Result


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


def main() -> None:
    """Run the command line."""
    bench = starter.level_1(sys.argv[1])
    for gate in GATES:
        name = gate.__name__.removeprefix("starter_")
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        result = gate(bench)
        entry = {"gate": name, "level": 1, "passed": result.passed, "bound": result.bound, "value": result.value}
        print(json.dumps(entry, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
