"""Names of what is to be served, read without the libraries that load models, so that a wrong one is told at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.models.hub import check_whole_model
from instruct_mner.models.locations import adapter_place
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import tuned_folder
from instruct_mner.prompting.templates import Prompt

_NAME = re.compile(r"[\w.-]+")
# Source: vLLM applies an adapter of such a name to every request that has a picture (LoRAConfig.default_mm_loras).
_RESERVED = ("image", "video", "audio")


class Named(NamedTuple):
    """An adapter, or a whole tuned model, as it is named; ``folder`` is where it lies."""

    name: str
    folder: Path
    manifest: Manifest
    prompt: Prompt


def read_named(named: Sequence[str], model: str | None) -> tuple[Named, ...]:
    """Read what is to be served: adapters on one base, a whole tuned model alone, or none.

    Args:
        named: Folders, ``NAME=FOLDER``, or hub names in place of folders.
        model: A base model to serve as it is; beside adapters, where their base lies now.

    Raises:
        ConfigError: The names are no names, nothing is named, or what is named does not go together.
        ModelError: There is nothing of such a name.
    """
    read = tuple(_read(each) for each in named)
    if not read and model is None:
        raise ConfigError("give an adapter (a run folder of 'finetune'), or --model with a base model")
    full = [each.name for each in read if each.manifest.tuning == "full"]
    if full and (len(read) > 1 or model is not None):
        raise ConfigError(f"'{full[0]}' is a whole model: it is served alone, without --model and other adapters")
    if not read:
        check_whole_model(str(model))
    elif not full:
        check_whole_model(*common_base(read, model))
        _common([(each.manifest.pixels.model_dump_json(), each.name) for each in read], "pixel limits")
    check_names([each.name for each in read])
    return read


def common_base(adapters: Sequence[Named], place: str | None) -> tuple[str, str | None]:
    """Return name and commit of the base of all adapters, which may lie in another place now.

    Args:
        adapters: Adapters, one or more.
        place: Folder or hub name under which the base lies now; ``None`` where its manifest says.

    Raises:
        ConfigError: They have different bases, or commits of one.
    """
    manifests = [each.manifest for each in adapters]
    if place is None:
        _common([(each.manifest.base_model, each.name) for each in adapters], "base models")
    own = {manifest.base_model: manifest for manifest in reversed(manifests)}
    for base in own:
        of_base = [each for each in adapters if each.manifest.base_model == base]
        _common([(str(each.manifest.base_revision), each.name) for each in of_base], f"commits of {base}")
    return own.get(place or "", manifests[0]).base_at(place)


def check_names(names: Sequence[str]) -> None:
    """Check that no two models have one name.

    Raises:
        ConfigError: Two have.
    """
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two models are named '{name}': give one another name, NAME=FOLDER")


def _read(named: str) -> Named:
    before, separator, after = named.partition("=")
    given = bool(separator) and not Path(named).exists()
    path = after if given else named
    place = adapter_place(path)
    folder = tuned_folder(path if place == Path(path) else place)
    if folder is None:
        why = "holds no adapter" if Path(path).is_dir() else "there is no such folder"
        raise ModelError(f"{path}: {why}; name the run folder that 'finetune' made (a base model: --model)")
    # "adapter" and "model" are what a run folder calls what it holds.
    absolute = folder.resolve()
    own = absolute.parent.name if absolute.name in {"adapter", "model"} else absolute.name
    if place != Path(path):  # of the hub, where the folder's name is a commit
        own = path.partition("@")[0].rpartition("/")[2]
    name = before if given else re.sub(r"[^\w.-]+", "-", own)
    if not _NAME.fullmatch(name) or name in _RESERVED:
        why = "vLLM takes it for a kind of input" if name in _RESERVED else "use letters, digits, '.', '_' and '-'"
        raise ConfigError(f"an adapter cannot be named '{name}' ({why}); write NAME={path}")
    return Named(name, absolute, *Manifest.load(folder))


def _common(values: Sequence[tuple[str, str]], what: str) -> None:
    first, name = values[0]
    for value, other in values:
        if value != first:
            raise ConfigError(
                f"'{name}' and '{other}' have different {what} ({first} and {value}): one vLLM serves one; start "
                "a server for each"
            )
