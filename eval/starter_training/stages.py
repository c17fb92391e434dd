"""Stages of the starter's build: kinds of samples, number of batches, and the gates at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Stage:
    """Stage of the build.

    Attributes:
        name: Name of its folder.
        steps: Number of batches.
        learning_rate: Peak of the learning rate.
        sample_weights: Weight of each kind of sample; empty for the stage that trains the vision tower.
        gates: Least value of each measurement at its end.
        place_naming: Whether the heads that lead from a definition to its label are initialised again before it: their
            first initialisation is lost while other things are learned.
        weights_from: Stage of a build of level 0 whose weights are copied first, where a build of level 1 starts from
            it: all of them by the first stage, those of the decoder by others.
    """

    name: str
    steps: int
    learning_rate: float
    sample_weights: Mapping[str, float] = field(default_factory=dict)
    gates: Mapping[str, float] = field(default_factory=dict)
    place_naming: bool = False
    weights_from: str | None = None


_FIRST = (
    Stage("seeing", 9000, 1.5e-3, gates={"type": 0.98, "colour": 0.98, "first letter": 0.95, "second letter": 0.95}),
    Stage(
        "looking", 800, 1e-3,
        {"questions": 0.3, "linked": 0.25, "relinked": 0.1, "describe": 0.08, "repeat": 0.12, "define": 0.15},
        gates={"question colour": 0.9, "question place": 0.9, "tokens repeat": 0.9},
    ),
    Stage(
        "naming", 2200, 7e-4,
        {"tag": 0.37, "text": 0.15, "linked": 0.14, "grounded": 0.03, "retag": 0.08, "retext": 0.03, "relinked": 0.07,
         "questions": 0.08, "describe": 0.02, "define": 0.03},
        gates={"question colour": 0.95, "question place": 0.95, "question letters": 0.9},
    ),
    Stage(
        "polishing", 1400, 6e-4,
        {"tag": 0.37, "text": 0.13, "linked": 0.08, "grounded": 0.11, "retag": 0.07, "retext": 0.02, "relinked": 0.06,
         "define": 0.05, "questions": 0.07, "describe": 0.02, "repeat": 0.01},
        gates={"question colour": 0.95, "question place": 0.95, "question letters": 0.94, "none told": 0.8},
        place_naming=True,
    ),
    Stage(
        "finishing", 1250, 5e-4,
        {"tag": 0.54, "text": 0.14, "linked": 0.06, "grounded": 0.1, "retag": 0.04, "retext": 0.01, "relinked": 0.02,
         "define": 0.01, "questions": 0.06, "describe": 0.02},
        gates={"question colour": 0.95, "question place": 0.95, "question letters": 0.95, "none told": 0.85},
    ),
    Stage(
        "mastering", 3000, 6e-4,
        {"tag": 0.4, "text": 0.08, "linked": 0.07, "grounded": 0.1, "retag": 0.12, "retext": 0.02, "relinked": 0.05,
         "define": 0.02, "questions": 0.12, "describe": 0.02},
        gates={"question colour": 0.95, "question place": 0.95, "question letters": 0.95, "none told": 0.85},
    ),
    Stage(
        "settling", 900, 3e-4,
        {"tag": 0.42, "text": 0.07, "linked": 0.1, "grounded": 0.1, "retag": 0.1, "retext": 0.01, "relinked": 0.05,
         "define": 0.01, "questions": 0.13, "describe": 0.01},
        gates={"question colour": 0.95, "question place": 0.95, "question letters": 0.96, "none told": 0.85},
    ),
)  # fmt: skip

# Level 1 has three label sets instead of one, and larger pictures.
_LONGER = {
    "seeing": 12_000,
    "looking": 1_000,
    "naming": 4_000,
    "polishing": 2_500,
    "finishing": 2_500,
    "mastering": 4_000,
    "settling": 1_200,
}
STAGES = {0: _FIRST, 1: tuple(replace(stage, steps=_LONGER[stage.name]) for stage in _FIRST)}

# Build of level 1 that starts from one of level 0.
_BEGUN = {"question colour": 0.9, "question place": 0.9, "question letters": 0.9}
_LOOKED_UP = {"question colour": 0.95, "question place": 0.95, "question letters": 0.9}
ONWARD = (
    Stage("seeing", 5000, 1.2e-3, gates={"type": 0.98, "colour": 0.98, "first letter": 0.95}, weights_from="seeing"),
    Stage(
        "moving", 2000, 7e-4,
        {"tag": 0.36, "text": 0.1, "linked": 0.13, "grounded": 0.06, "retag": 0.1, "retext": 0.02, "relinked": 0.05,
         "define": 0.04, "questions": 0.12, "describe": 0.02},
        gates=_BEGUN, weights_from="settling",
    ),
    Stage(
        "mastering", 3000, 6e-4,
        {"tag": 0.34, "text": 0.06, "linked": 0.07, "grounded": 0.2, "retag": 0.12, "retext": 0.02, "relinked": 0.05,
         "define": 0.02, "questions": 0.1, "describe": 0.02},
        gates=_LOOKED_UP,
    ),
)  # fmt: skip
