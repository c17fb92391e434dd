"""The page at ``/``, used in a real browser before a gateway that listens."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from asked_page import asked, complaints, opened
from browser import VIEWS, Tab, browser
from conftest import KEY, Gateway
from PIL import Image

from instruct_mner.report import assets
from instruct_mner.serving.playground import playground


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_ask(width: int, dark: bool, tab: Tab, gateway: Gateway) -> None:
    opened(tab, gateway.url, KEY, width=width, dark=dark)
    assert tab.run("[...field('model').options].map(each => each.value)") == ["m"]
    text = "Zoë 😀 <b>meets</b> $HOME `Bo`"
    tab.run("field('labels').value = 'PER: people\\nLOC'; 0")
    assert asked(tab, text).startswith("1 entity by m in ")
    assert tab.run("shownText.textContent").startswith("ZoëPER 100 %")
    assert tab.run("shownText.textContent").endswith(text[3:])
    assert tab.run("shownText.querySelectorAll('b').length") == 0
    assert not tab.run("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert tab.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(20, 21, 24)" if dark else "rgb(246, 246, 244)"
    )
    assert tab.nameless_controls() == []
    assert complaints(tab) == []


def test_axe_finds_nothing_serious(tab: Tab, gateway: Gateway) -> None:
    for width, dark in VIEWS:
        opened(tab, gateway.url, KEY, width=width, dark=dark)
        assert tab.serious_findings() == []
        tab.run("field('text').value = 'Zoë is here'; field('labels').value = 'PER'; 0")
        assert "1 entity" in asked(tab)
        assert tab.serious_findings() == []


def test_errors_are_said(tab: Tab, gateway: Gateway) -> None:
    opened(tab, gateway.url, KEY)
    tab.run("field('labels').value = 'A\\nB\\nC\\nD\\nE\\nF'; 0")
    assert "labels" in asked(tab)
    assert tab.run("status.className") == "wrong-words"


def test_the_code_on_the_page_runs(tab: Tab, gateway: Gateway, tmp_path: Path) -> None:
    opened(tab, gateway.url, KEY)
    Image.new("RGB", (60, 40), "red").save(tmp_path / "it's a picture.png")
    content = list((tmp_path / "it's a picture.png").read_bytes())
    script = f"usePicture(new File([new Uint8Array({content})], \"it's a picture.png\", {{type: 'image/png'}}))"
    tab.run(f"new Promise(done => {{ new MutationObserver(done).observe(preview, {{childList: true}}); {script}; }})")
    text = "Zoë pays $5 for `x` \\ 'y' \"z\" null true @picture@ picture"
    tab.run("field('labels').value = 'PER\\nnull: a null type'; 0")
    assert "1 entity" in asked(tab, text)
    seen = gateway.vllm.bodies[-1]["messages"]
    answer = json.loads(tab.run("field('json').textContent"))
    environment = {"INSTRUCT_MNER_API_KEY": KEY, "PATH": "/usr/bin:/bin"}
    curl = subprocess.run(
        tab.run("field('curl').textContent"), shell=True, cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    assert json.loads(curl.stdout) == answer
    assert gateway.vllm.bodies[-1]["messages"] == seen
    code = tab.run("field('python').textContent")
    python = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert ast.literal_eval(python.stdout) == answer
    assert gateway.vllm.bodies[-1]["messages"] == seen
    assert seen[0]["content"][-1]["text"].endswith(text)


def test_the_page_needs_no_key_and_runs_one_script(gateway: Gateway) -> None:
    answer = httpx.get(gateway.url + "/")
    page, policy = playground()
    assert (answer.status_code, answer.text) == (200, page)
    assert answer.headers["content-security-policy"] == policy
    assert assets.MARKS.read_text("utf-8") in page
    assert assets.STYLE.read_text("utf-8") in page
    assert "script-src 'sha256-" in policy
    assert httpx.get(gateway.url + "/v1/models").status_code == 401


def test_models_have_the_labels_of_their_tuning(gateway: Gateway) -> None:
    """The tagger of these tests is not tuned."""
    [model] = gateway.client.get("/v1/models").json()["data"]
    assert model["labels"] == {}
