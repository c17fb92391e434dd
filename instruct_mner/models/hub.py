"""Downloads from the hub: with progress, and with a message for each thing that can go wrong on the way."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from tqdm import tqdm

from instruct_mner.console import Work, working
from instruct_mner.errors import ModelError
from instruct_mner.models.locations import OWN_NAMES
from instruct_mner.models.manifest import FILE_NAME as MANIFEST
from instruct_mner.models.tuned import tuned_folder

# Files of a model that are loaded; weights of other names and folders are other forms of the same model.
_FILES = ["*.json", "*.jinja", "*.txt", "*.model", "model*.safetensors"]
_OTHER_FORMS = ["*/*"]
# Those of an adapter, or of a run with its folder `adapter`.
_ADAPTER_FILES = ["*.json", "*.jinja", "*.txt", "*.safetensors"]
# What a folder needs, as words.
DETECTOR_FILES = "config.json, preprocessor_config.json and *.safetensors of an object detector is needed"
WHOLE_MODEL_FILES = "config.json, the processor's files and *.safetensors is needed"
_MEGABYTE = 1_000_000
# Errors of the connection itself, of the HTTP library that the hub's client uses: httpx, and from 2.0 on httpx2.
_CONNECTION_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]


def fetch_model(name: str, revision: str | None) -> None:
    """Download a model into the hub's cache, and show how much of it is there.

    What an earlier download that broke off has left is not downloaded again. Nothing is done for a folder, and where
    the hub must not be asked (``HF_HUB_OFFLINE``).

    Args:
        name: Hub name or folder.
        revision: Commit, branch or tag.
    """
    if Path(name).is_dir() or constants.HF_HUB_OFFLINE:
        return
    with working(f"downloading {name}", unit="MB") as work:
        snapshot_download(
            name,
            revision=revision,
            allow_patterns=_FILES,
            ignore_patterns=_OTHER_FORMS,
            tqdm_class=_bar_on(work),
        )


def fetch_adapter(name: str, revision: str | None) -> Path:
    """Return the folder of an adapter in the hub's cache, downloaded where it is not there: no file but data.

    Args:
        name: Hub name.
        revision: Commit, branch or tag.

    Raises:
        ModelError: It cannot be downloaded.
    """
    with hub_errors(name, revision, "adapter_config.json and adapter_model.safetensors is needed"):
        return Path(snapshot_download(name, revision=revision, allow_patterns=_ADAPTER_FILES))


@lru_cache(maxsize=8)  # each verb asks more than once, and a hub that cannot be reached is asked for half a minute
def fetch_tuned(name: str, revision: str | None) -> Path | None:
    """Return the folder of a model of the hub that was tuned by this package, as :func:`fetch_adapter` does.

    Args:
        name: Hub name.
        revision: Commit, branch or tag.

    Returns:
        Folder; ``None`` for a model without a manifest, and for one that is not there, which loading it tells.

    Raises:
        ModelError: It cannot be downloaded.
    """
    if file_of(name, MANIFEST, revision) is None:
        try:
            hf_hub_download(name, MANIFEST, revision=revision)
        except (OSError, ValueError, _CONNECTION_ERROR):
            return None
    return fetch_adapter(name, revision)


def check_whole_model(name: str, revision: str | None = None, needed: str = WHOLE_MODEL_FILES) -> None:
    """Refuse what is no whole model, or is not there, by its ``config.json``: before torch, and before a download.

    Args:
        name: Hub name or folder, ``starter`` or ``smollm2``.
        revision: Commit, branch or tag.
        needed: Files that a folder needs, as words.

    Raises:
        ModelError: It is an adapter, or there is no such model.
    """
    if name in OWN_NAMES:
        return
    folder = Path(name)
    tuned = tuned_folder(folder)
    with hub_errors(name, revision, needed):
        if tuned is not None and (tuned / "adapter_config.json").is_file():
            raise OSError("it is an adapter, and a whole model is asked for")
        # Of what is in the cache the hub is not asked: one that cannot be reached is asked for half a minute.
        if file_of(name, "config.json", revision) is not None:
            return
        if folder.is_dir():
            raise OSError("there is no config.json in it")
        try:
            hf_hub_download(name, "config.json", revision=revision)
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            raise OSError("it has no config.json: is it an adapter, of which a base model is part?") from None


def commit_of(name: str, revision: str | None) -> str | None:
    """Return the commit of a model whose config is in the hub's cache; ``None`` for a folder.

    Source: configs of transformers 5.19 no longer know the commit that they were read at.

    Args:
        name: Hub name or folder.
        revision: Commit, branch or tag.
    """
    config = None if Path(name).is_dir() else file_of(name, "config.json", revision)
    return None if config is None else config.parent.name


def file_of(name: str, file: str, revision: str | None) -> Path | None:
    """Return a file of a folder, or of a model in the hub's cache; ``None`` where it is not there.

    Args:
        name: Hub name or folder.
        file: Name of the file.
        revision: Commit, branch or tag.
    """
    if Path(name).is_dir():
        path = Path(name, file)
        return path if path.is_file() else None
    try:
        cached = try_to_load_from_cache(name, file, constants.HF_HUB_CACHE, revision or "main")
    except HFValidationError:  # no name of the hub, which loading it tells
        return None
    return Path(cached) if isinstance(cached, str) else None


@contextmanager
def hub_errors(name: str, revision: str | None, needed: str) -> Iterator[None]:
    """Raise one message in place of what loading a model raises in the block.

    Args:
        name: Hub name or folder.
        revision: Commit, branch or tag.
        needed: Files that a folder needs, as words.

    Raises:
        ModelError: The model cannot be loaded; the message says why, and what to do.
    """
    try:
        yield
    except (OSError, ValueError, ImportError, SafetensorError, _CONNECTION_ERROR) as error:
        reason = _reason(error, name, revision) or str(error).strip().split("\n")[0]
        raise ModelError(f"model {name} cannot be loaded: {reason} (a hub name or a folder with {needed})") from error


_OFFLINE = "it is not in the cache, and HF_HUB_OFFLINE forbids to ask the hub: unset it, or give a folder"
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (
        GatedRepoError,
        "access to it is restricted: ask for it at {page}, then log in with 'hf auth login', or set HF_TOKEN to a "
        "token that may read it",
    ),
    (
        RepositoryNotFoundError,
        "there is no such folder, and no such model on the hub: correct the name; if the model is private, log in with "
        "'hf auth login' or set HF_TOKEN",
    ),
    (RevisionNotFoundError, "it has no revision '{revision}': give a branch, a tag or a commit of {page}"),
    (OfflineModeIsEnabled, _OFFLINE),
    (HfHubHTTPError, "the hub refused it ({error}): try again later"),
    (
        _CONNECTION_ERROR,
        "the connection to {endpoint} failed ({error}): run the command again; files that are complete are kept",
    ),
)


def _reason(error: BaseException, name: str, revision: str | None) -> str | None:
    """Return what happened and what to do; ``None`` where it is no matter of the hub."""
    # Where a file is missing, the error that this led to names it.
    causes = [cause for cause in _chain(error) if not isinstance(cause, EntryNotFoundError)]
    for cause in causes:
        for kind, text in _REASONS:
            if isinstance(cause, kind):
                first = str(cause).strip().split("\n")[0] or type(cause).__name__
                endpoint = constants.ENDPOINT
                return text.format(page=f"{endpoint}/{name}", revision=revision, endpoint=endpoint, error=first)
    if any(isinstance(cause, LocalEntryNotFoundError) for cause in _chain(error)):
        return _OFFLINE if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} cannot be reached: check the network"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Iterate over an error and the errors that led to it, the first one last."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _bar_on(work: Work) -> type[Any]:
    """Return a progress bar of the hub's client that moves a piece of work on, and writes nothing itself."""

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **{**named, "file": io.StringIO(), "mininterval": 0.1})

        def display(self, *arguments: Any, **named: Any) -> bool:
            if self.unit == "B":  # The others count files.
                work.total = max(work.total or 0, round((self.total or 0) / _MEGABYTE))
                work.advance(max(work.completed, round(self.n / _MEGABYTE)))
            return True

    return Bar
