"""Main program of ``push``: the files of a run and its card, as one commit to a repository of the hub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, by a lazy import

from instruct_mner.console import working
from instruct_mner.errors import ConfigError, ServingError
from instruct_mner.models.weights_hash import weights_hash
from instruct_mner.publishing.card import make_card, read_score
from instruct_mner.publishing.run_files import CARD, RunFiles, read_run

TOKEN = "HF_TOKEN"  # noqa: S105 (the name of a variable)
# Errors of the connection itself: those of the HTTP library that the hub's client uses.
_CONNECTION_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]


@dataclass(frozen=True, kw_only=True)
class Upload:
    """Content of a commit.

    Attributes:
        run: Run that is published.
        name: Name of the repository, as ``user/name``.
        card: Text of the model card.
    """

    run: RunFiles
    name: str
    card: str

    def describe(self) -> list[str]:
        """Return the files, and what is left out, as lines for people."""
        lines = [f"{self.name}: {CARD}, {', '.join(name for name, _ in self.run.contents())}"]
        left = self.run.left_out()
        return [*lines, f"left out: {', '.join(left)}"] if left else lines


def prepare_upload(run: Path, name: str, *, reports: Sequence[Path], base: str | None, licence: str | None) -> Upload:
    """Read a run and its reports, and write its card.

    Args:
        run: Run folder, or the folder of its weights.
        name: Name of the repository, as ``user/name``.
        reports: Reports of ``evaluate --json --run``, for the scores of the card.
        base: Hub name of the base, where the run names a folder.
        licence: Licence of the weights, by its name on the hub.

    Raises:
        MnerError: The run or a report cannot be used.
    """
    _check_name(name)
    files = read_run(run, base)
    weights = weights_hash(files.folder, weights_only=True) or ""
    scores = [read_score(path, weights) for path in reports]
    return Upload(run=files, name=name, card=make_card(files, name, scores, licence))


def _check_name(name: str) -> None:
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ConfigError(f"{name}: the hub takes no such name; write USER/NAME: {error}") from None
    if "/" not in name:
        raise ConfigError(f"{name}: a repository of the hub is named USER/NAME")


def push(upload: Upload, *, public: bool) -> str:
    """Make the repository where there is none, and commit all files at once.

    Args:
        upload: Content of the commit.
        public: Whether a new repository can be seen by all.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: There is no token in the environment, or the hub must not be asked.
        ServingError: The hub refused it, or cannot be reached.
    """
    token = os.environ.get(TOKEN)
    if not token:
        raise ConfigError(f"{TOKEN} is not set; make a token that may write, and set it in the environment")
    if constants.HF_HUB_OFFLINE:
        raise ConfigError("HF_HUB_OFFLINE forbids to ask the hub: unset it")
    contents = [(CARD, upload.card.encode()), *upload.run.contents()]
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=content if isinstance(content, bytes) else str(content))
        for name, content in contents
    ]
    api = HfApi(endpoint=constants.ENDPOINT, token=token)
    try:
        with working(f"uploading to {upload.name}"):
            api.create_repo(upload.name, private=not public, exist_ok=True)
            done = api.create_commit(
                upload.name, operations, commit_message="Upload by instruct-mner", repo_type="model"
            )
    except HfHubHTTPError as error:
        raise _refused(upload.name, error) from None
    except (_CONNECTION_ERROR, OSError) as error:
        raise ServingError(f"{constants.ENDPOINT} cannot be reached ({error}): run the command again") from None
    return str(done.commit_url)


def _refused(name: str, error: HfHubHTTPError) -> ServingError:
    status = error.response.status_code if error.response is not None else None
    first = str(error).strip().split("\n")[0]
    write = f"give {TOKEN} a token that may write to {name}"
    remedy = write if status in {401, 403} else "mend that, or try again later"
    return ServingError(f"{name}: the hub refused it ({first}); {remedy}", status=status)
