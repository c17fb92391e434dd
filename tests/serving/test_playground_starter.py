"""The playground in a real browser with the starter behind it, served by vLLM."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import httpx
import psutil
import pytest
from asked_page import asked, complaints, opened
from browser import VIEWS, browser

from instruct_mner.quickstart.example_posts import write_dozen
from instruct_mner.vllm_runtime.process import free_port

ADAPTER = Path(__file__).resolve().parents[2] / "eval" / "results" / "starter-demo"
KEY = "open-sesame"


@pytest.mark.newcomer
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed (make setup brings it)")
@pytest.mark.timeout(600)
def test_the_first_entity_in_all_views(tmp_path: Path) -> None:
    posts = write_dozen(tmp_path)
    picture = next(posts.parent.rglob("friend.png"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "instruct_mner", "ui", str(ADAPTER), "--port", str(port)]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "INSTRUCT_MNER_API_KEY": KEY}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        while not _is_ready(url):
            assert server.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.2)
        with browser(tmp_path / "browser") as tab:
            for width, dark in VIEWS:
                opened(tab, url, KEY, width=width, dark=dark)
                said = asked(tab, "Jordan dunks in Chicago", picture)
                assert said[0] in "123", said
                assert tab.run("shownText.querySelectorAll('mark').length") == int(said[0])
                assert tab.serious_findings() == []
                assert complaints(tab) == []
    finally:
        children = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
        server.terminate()
        server.wait(60)
        _, left = psutil.wait_procs(children, timeout=30)
        assert not left


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False
