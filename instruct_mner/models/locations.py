"""Names of models: ``starter`` is inside the package, ``smollm2`` in a wheel, ``starter-135m`` is made of both."""

from __future__ import annotations

import re
from pathlib import Path

from instruct_mner.errors import ConfigError

STARTER = "starter"
STARTER_FOLDER = Path(__file__).parents[1] / "starter" / "model"
STARTER_135M = "starter-135m"
STARTER_135M_FOLDER = STARTER_FOLDER.with_name("model_135m")
SMOLLM2 = "smollm2"
OWN_NAMES = (STARTER, STARTER_135M, SMOLLM2)
SMOLLM2_ON_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"


def locate(name: str | Path) -> str:
    """Return the place from which a model is loaded: a folder for a name above, else the name itself.

    A folder of such a name in the working directory is ``./starter``, or a ``Path``, which is never a name.

    Raises:
        ModelError: SmolLM2 is not installed, or the model cannot be prepared.
    """
    if name == STARTER:
        return str(STARTER_FOLDER)
    # To prepare a model needs torch, which the other names do not.
    if name == SMOLLM2:
        from instruct_mner.models import smollm2

        return str(smollm2.prepared_folder())
    if name == STARTER_135M:
        from instruct_mner.models import starter_135m

        return str(starter_135m.prepared_folder())
    return str(name)


_HUB_NAME = re.compile(r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(?:@(?P<revision>[\w./-]+))?", re.ASCII)


def check_revision(name: str | Path, revision: str | None) -> None:
    """Refuse a revision of what is no model of the hub, where it would have no effect.

    Args:
        name: Folder, hub name, ``starter`` or ``smollm2``.
        revision: Commit, branch or tag that the user gives.

    Raises:
        ConfigError: It has no effect.
    """
    own = name in OWN_NAMES
    if revision is not None and (own or Path(name).exists()):
        kind = "comes with a fixed one" if own else "is a folder, and no model of the hub"
        raise ConfigError(f"revision {revision!r} has no effect on {name}, which {kind}; leave it out")


def tuned_place(name: str | Path, revision: str | None = None) -> Path:
    """Return the place of a model that may be tuned: of the hub, a folder with what was tuned, else what it is named.

    Args:
        name: Folder, hub name, ``starter`` or ``smollm2``.
        revision: Commit, branch or tag on the hub.

    Raises:
        ModelError: The hub has it, and it cannot be downloaded.
    """
    if isinstance(name, str) and _is_of_hub(name):
        # The client of the hub takes a while, and a folder does not need it.
        from instruct_mner.models.hub import fetch_tuned

        return fetch_tuned(name, revision) or Path(name)
    return Path(locate(name))


def adapter_place(name: str | Path, revision: str | None = None) -> Path:
    """Return the folder of an adapter: a folder of this machine, or what the hub has under ``user/name[@revision]``.

    Args:
        name: Folder, or hub name; a folder that is there is never looked for on the hub.
        revision: Commit, branch or tag on the hub.

    Raises:
        ModelError: The hub does not have it, or cannot be reached.
    """
    check_revision(name, revision)
    match = _HUB_NAME.fullmatch(str(name))
    if match is None or not _is_of_hub(str(name)):
        return Path(name)
    # The client of the hub takes a while, and a folder does not need it.
    from instruct_mner.models.hub import fetch_adapter

    return fetch_adapter(match["name"], revision or match["revision"])


def _is_of_hub(name: str) -> bool:
    return _HUB_NAME.fullmatch(name) is not None and not Path(name).exists()
