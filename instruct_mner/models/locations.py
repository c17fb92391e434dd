"""Names of models: ``starter`` is the one inside the package."""

from __future__ import annotations

from pathlib import Path

STARTER = "starter"
STARTER_FOLDER = Path(__file__).parents[1] / "starter" / "model"


def locate(name: str | Path) -> str:
    """Return the place from which a model is loaded: the package for ``starter``, else the name itself.

    A folder of this name in the working directory is ``./starter``, or a ``Path``, which is never a name.
    """
    return str(STARTER_FOLDER) if name == STARTER else str(name)
