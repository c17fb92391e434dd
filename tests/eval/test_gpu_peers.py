"""Peers on a machine with a GPU: which are there, and their speed by runs over a part and over all posts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from eval.benchmarks.bench_alignment import write_posts
from eval.gpu import peers
from instruct_mner.testing import build_tiny


def test_only_whole_environments_count(tmp_path: Path) -> None:
    for name in ("factory", "ours", "swift"):
        (tmp_path / name).mkdir()
    (tmp_path / "swift" / "made").touch()
    assert peers.installed_peers(tmp_path) == {"swift": tmp_path / "swift"}
    assert peers.installed_peers(None) == {}


@pytest.mark.parametrize("name", ["factory", "swift"])
def test_loading_does_not_count(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_tiny("qwen2_5_vl", tmp_path / "model", texts=["Ann in Paris one"])
    posts = write_posts(tmp_path / "posts", 6, words=8)
    now, commands = [0.0], list[list[str]]()
    monkeypatch.setattr(peers.time, "perf_counter", lambda: now[0])

    def run(command: Sequence[str | Path], env: Mapping[str, str]) -> None:
        assert env["HF_HUB_OFFLINE"] == "1"
        commands.append([str(part) for part in command])
        number = 2 if len(commands) % 2 else 6
        now[0] += 10 + number * (0.5 if len(commands) <= 2 else 0.125)  # ten seconds of loading

    speeds = peers.peer_speeds(run, name, tmp_path / "env", model, posts, tmp_path / "own", 2, gpu=True)
    assert speeds == {"as it is": 2.0, "without recomputed activations": None}  # 0.5 s more of 10: nothing is told
    assert all(command[0].startswith(str(tmp_path / "env" / "bin")) for command in commands)
    assert [len((tmp_path / "own" / part / "chats.jsonl").read_text().splitlines()) for part in ("2", "6")] == [2, 6]
