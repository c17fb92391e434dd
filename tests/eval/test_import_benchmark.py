"""The benchmark of imports measures whole files."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.benchmarks.bench_import import FORMS, measure, write_posts


@pytest.mark.parametrize("form", FORMS)
def test_all_posts_are_imported(form: str, tmp_path: Path) -> None:
    write_posts(tmp_path / "a.jsonl", 50, form)
    seconds, worked, mebibytes = measure(tmp_path / "a.jsonl", tmp_path / "out.jsonl")
    assert min(seconds, worked) > 0
    assert mebibytes > 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 50
