"""Fixtures that all tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# No test asks a hub; without this, each that names a model which is nowhere waits for one.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# On a busy machine any command may take longer than the usual second and a half, and say so.
os.environ.setdefault("INSTRUCT_MNER_LOG_SECONDS", "1000")

# Deadlines fail on a machine that is busy with something else; pytest-timeout stops what hangs.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets of third parties, which lie beside the checkout and are never part of it."""
    path = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("the real data sets are not beside this checkout (../shared/data)")
    return path


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives the folder of a tiny random model of a family, made once a session."""
    from instruct_mner.testing import build_tiny

    made: dict[str, Path] = {}
    texts = [
        "Name the entities of the post, one a line in text order, as TYPE: mention. Write none if there is none.",
        "Types: PER, LOC, ORG, MISC. Post: RT @user : Jordan dunks in Chicago [12, 40, 500, 1000] none",
    ] * 4

    def build(family: str) -> Path:
        if family not in made:
            made[family] = build_tiny(family, tmp_path_factory.mktemp(family), texts=texts)
        return made[family]

    return build


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow tests first: one of them at the end would keep one worker busy while the other has nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Leave what is there by now out of garbage collection, of which each training run asks for a whole one."""
    gc.collect()
    gc.freeze()
