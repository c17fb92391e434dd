"""Fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

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
