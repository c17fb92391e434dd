from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from instruct_mner.data.loading import load_split
from instruct_mner.quickstart import demo_serving
from instruct_mner.testing.posts import make_posts
from instruct_mner.vllm_runtime.process import VllmProcess


def test_without_vllm_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo_serving, "find_spec", lambda name: None)
    said = io.StringIO()
    with demo_serving.server(tmp_path, Console(file=said)) as server:
        assert server is None
    assert "vLLM is not installed" in said.getvalue()


def test_where_it_does_not_start_that_is_said(tmp_path: Path) -> None:
    said = io.StringIO()
    command = [sys.executable, "-c", "print('no memory')"]
    with VllmProcess(command, "http://127.0.0.1:9", {}) as process:
        server = demo_serving.DemoServer(tmp_path, process, Console(file=said, soft_wrap=True))
        assert server.tag(load_split(str(make_posts(tmp_path)))) is None
    assert "no memory" in said.getvalue()
