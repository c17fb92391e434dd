"""``serve`` with real vLLM, on the CPU: what is served answers as what is loaded, and what is printed runs."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from asked_page import asked, complaints, opened
from browser import VIEWS, browser
from runs import QUIET, config_of

from instruct_mner import Tagger
from instruct_mner.answers import codec
from instruct_mner.answers.counted_grammar import with_counting
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.answers.spec import AnswerSpec, FormatName
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.loading import load_split
from instruct_mner.engines.endpoint import Endpoint
from instruct_mner.schema.choices import Constraint
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Prediction
from instruct_mner.testing import build_tiny
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import finetune
from instruct_mner.vllm_runtime.process import free_port

pytestmark = [
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed (make setup brings it)"),
    # vLLM is started, which takes half a minute where nothing else runs, and minutes where much does.
    pytest.mark.slow,
    pytest.mark.timeout(1200),
]
KEY = "open-sesame"
FLAGS = ("--vllm=--enforce-eager", "--vllm=--max-model-len=2048")
ENVIRONMENT = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that takes people for places, on a base that knows the tests' posts by heart: no near ties."""
    folder = tmp_path_factory.mktemp("served")
    # vLLM's attention on the CPU takes heads of 32 and more.
    tiny = build_tiny("qwen3_vl", folder / "tiny", texts=["Name the entities of the post: PER LOC"] * 4, width=128)
    grounded = {"answer": {"grounded": True}}
    optimizer = {"epochs": 70, "batch_size": 6, "learning_rate": 0.002}
    changes = {"tuning": "full", "optimizer": optimizer, "evaluation": {"every_steps": 70}, **grounded}
    base = finetune(load_config(config_of(tiny, folder / "base", **changes)), QUIET) / "model"
    changes = {
        "lora": {"rank": 32, "alpha": 64, "dropout": 0.0},
        "optimizer": {"epochs": 35, "batch_size": 6, "learning_rate": 0.005},
        "evaluation": {"every_steps": 35},
        # Other sizes than the base's own: what is served must have them too.
        "pixels": {"min_pixels": 3000, "max_pixels": 6000},
        **grounded,
    }
    config = config_of(base, folder / "swapped", **changes)
    posts = folder / "swapped" / "posts" / "posts.jsonl"
    text = posts.read_text().replace('"PER"', '"@"').replace('"LOC"', '"PER"').replace('"@"', '"LOC"')
    posts.write_text(text)
    return finetune(load_config(config), QUIET)


@pytest.fixture(scope="module")
def said(run: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of the server, and the lines that it printed; at the end, that none of it is left."""
    port = free_port()
    command = [sys.executable, "-m", "instruct_mner", "serve", f"swapped={run}", "--port", str(port), *FLAGS]
    log = run / "serve.log"
    with log.open("w") as errors:
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**ENVIRONMENT, "INSTRUCT_MNER_API_KEY": KEY}
        )
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("print("):
            break
    assert server.poll() is None, log.read_text()[-3000:]
    children = psutil.Process(server.pid).children(recursive=True)
    assert len(children) >= 3
    yield f"http://127.0.0.1:{port}", lines
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0
    _, left = psutil.wait_procs(children, timeout=30)
    assert not left


# One test, because each process of a parallel run would start a server of its own.
def test_real_vllm(run: Path, said: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, lines = said
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("INSTRUCT_MNER_API_KEY", KEY)
    dataset = load_split(str(make_posts(tmp_path)))
    loaded = list(Tagger.from_pretrained(run).predict(dataset.examples, dataset.picture_paths))
    assert {entity.label for each in loaded for entity in each.entities} == {"PER", "LOC", "ORG", "MISC"}
    served = Tagger.connect(url, model="swapped", adapter=run).predict(dataset.examples, dataset.picture_paths)
    _agree(loaded, list(served))
    _agree(loaded, _entities(url, dataset))
    assert not any("not counted" in line for line in lines)
    for answer_format in ("lines", "json"):
        _nothing_is_written_more_often_than_it_stands(url, answer_format)
    _what_is_printed_runs(lines)
    # The base stands for a model that was not tuned, which is asked about labels that it has never seen.
    monkeypatch.setattr("instruct_mner.tagging.engine_choice._refuse_tuned", lambda *_: None)
    for constraint in ("grammar", "schema"):
        _answers_labels_never_seen(url, dataset, constraint)
    _streams_and_refuses(url)
    _a_browser_asks(url, dataset, loaded, tmp_path)


def _a_browser_asks(url: str, dataset: Dataset, loaded: list[Prediction], folder: Path) -> None:
    """The page at ``/`` with the model behind it, on a phone; all views: ``test_playground_starter.py``."""
    example, prediction = dataset.examples[0], loaded[0]
    with browser(folder / "browser") as tab:
        for width, dark in VIEWS[:1]:
            opened(tab, url, KEY, width=width, dark=dark)
            said = asked(tab, example.text, dataset.picture_paths(example)[0])
            assert re.match(rf"{len(prediction.entities)} entit(y|ies) by swapped in ", said), said
            marked = tab.run("[...shownText.querySelectorAll('mark')].map(each => each.firstChild.textContent)")
            assert marked == [entity.text for entity in prediction.entities]
            assert complaints(tab) == []


def _agree(loaded: list[Prediction], served: list[Prediction]) -> None:
    for here, there in zip(loaded, served, strict=True):
        assert here.id == there.id
        assert [(e.start, e.end, e.label, e.boxes) for e in here.entities] == [
            (e.start, e.end, e.label, e.boxes) for e in there.entities
        ]
        assert here.rejected == there.rejected
        # vLLM gives the probabilities that are left after the grammar has taken its share: hardly smaller.
        assert all(a.score <= b.score + 1e-3 for a, b in zip(here.entities, there.entities, strict=True))


def _entities(url: str, dataset: Dataset) -> list[Prediction]:
    """What ``/v1/entities`` says of the posts, by the adapter, which is the first model."""
    found = []
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=120) as client:
        for example in dataset.examples:
            images = [base64.b64encode(path.read_bytes()).decode() for path in dataset.picture_paths(example)]
            response = client.post("/v1/entities", json={"text": example.text, "images": images})
            assert response.status_code == 200, response.text
            told = {name: response.json()[name] for name in ("entities", "rejected")}
            found.append(
                Prediction.model_validate({"id": example.id, "text": example.text, "images": example.images, **told})
            )
    return found


def _nothing_is_written_more_often_than_it_stands(url: str, answer_format: FormatName) -> None:
    """Twenty requests at once, of which some are given up."""
    text = "Ann met Bo Ann"
    rest = RestOfAnswer(AnswerSpec(labels=LabelSet.of(["PER", "LOC"]), format=answer_format), text, 0)
    whole = codec.grammar(rest.spec, text, 0)
    # The grammar of the answer itself asks for four entities, whatever is in them.
    four = {"lines": r'entity ("\\n" entity){3}', "json": '"[" entity ("," entity){3} "]"'}[answer_format]
    grammar = with_counting(re.sub(r"start: .*", f"start: {four}", whole), rest)
    body = {
        "model": "swapped",
        "messages": [{"role": "user", "content": text}],
        "temperature": 1.5,
        "max_tokens": 240,
        "n": 2,
        "structured_outputs": {"grammar": grammar},
    }

    async def ask(client: httpx.AsyncClient, *, gives_up: bool) -> list[dict[str, Any]]:
        async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": gives_up}) as response:
            assert response.status_code == 200
            if gives_up:
                return []
            return json.loads(await response.aread())["choices"]

    async def ask_all() -> list[dict[str, Any]]:
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120) as client:
            answers = await asyncio.gather(*(ask(client, gives_up=number % 4 == 0) for number in range(20)))
        return [choice for each in answers for choice in each]

    choices = asyncio.run(ask_all())
    assert len(choices) == 30
    for choice in choices:
        finished = choice["finish_reason"] == "stop"
        parsed = codec.parse(rest.spec, text, choice["message"]["content"], 0, finished=finished)
        assert parsed.rejected.unplaceable == parsed.rejected.hallucinated == 0
        assert parsed.rejected.malformed == (0 if finished else 1)
    between = {"lines": "\n", "json": "},{"}[answer_format]
    assert any(between in choice["message"]["content"] for choice in choices if choice["finish_reason"] == "stop")


def _what_is_printed_runs(lines: list[str]) -> None:
    [curl] = [line for line in lines if line.startswith("curl ")]
    snippet = "\n".join(lines[lines.index(curl) + 1 :])
    by_curl = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True).stdout
    by_python = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True).stdout
    assert json.loads(by_curl)["model"] == "swapped"
    answers = [ast.literal_eval(by_python), json.loads(by_curl)]
    # What the second finds in vLLM's prefix cache was computed in another order: equal but for rounding.
    scores = [[entity.pop("score") for entity in answer["entities"]] for answer in answers]
    assert answers[0] == answers[1]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def _answers_labels_never_seen(url: str, dataset: Dataset, constraint: Constraint) -> None:
    tagger = Tagger.connect(Endpoint(url, "model", constraint=constraint))
    found = list(tagger.predict(dataset.examples, dataset.picture_paths, {"venue": "a place to play", "club": None}))
    assert [each.id for each in found] == [example.id for example in dataset.examples]
    for each in found:
        assert {entity.label for entity in each.entities} <= {"venue", "club"}
        if constraint == "grammar":  # a schema cannot say that a mention must stand in the post
            assert each.rejected.hallucinated == 0


def _streams_and_refuses(url: str) -> None:
    body = {"model": "model", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=120) as client:
        with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
            assert [line for line in response.iter_lines() if line][-1] == "data: [DONE]"
        # A seed would end vLLM on a CPU.
        assert client.post("/v1/chat/completions", json={**body, "seed": 1, "temperature": 1}).status_code == 200
        assert client.post("/v1/chat/completions", json={**body, "temperature": -1}).status_code == 422
        # Longer than the model's context: read in windows. Longer than a text may be: refused.
        assert client.post("/v1/entities", json={"text": "word " * 3999}).status_code == 200
        assert client.post("/v1/entities", json={"text": "word " * 4001}).status_code == 413
        assert client.get("/health").status_code == 200
        assert "vllm:" in client.get("/metrics").text


@pytest.mark.prove
def test_vllm_in_this_process(run: Path, tmp_path: Path) -> None:
    posts, output = make_posts(tmp_path), tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "instruct_mner", "tag", posts, "--adapter", run, "-o", output]
    further = ["--engine", "vllm", *FLAGS]
    subprocess.run([*map(str, command), *further], check=True, env=ENVIRONMENT)
    dataset = load_split(str(posts))
    loaded = list(Tagger.from_pretrained(run).predict(dataset.examples, dataset.picture_paths))
    there = [Prediction.model_validate_json(line) for line in output.open()]
    _agree(loaded, there)
    for mine, theirs in zip(loaded, there, strict=True):
        assert [each.score for each in mine.entities] == pytest.approx([e.score for e in theirs.entities], abs=1e-3)
