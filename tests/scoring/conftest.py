import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def bench():
    """The module ``eval/benchmarks/bench_scorer.py``, which is outside of the package."""
    path = Path(__file__).parents[2] / "eval" / "benchmarks" / "bench_scorer.py"
    spec = importlib.util.spec_from_file_location("bench_scorer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
