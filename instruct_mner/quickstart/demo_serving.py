"""The demo's posts through ``instruct-mner serve``: the adapter that was just tuned, as a product would ask it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from shlex import quote

import httpx
from rich.console import Console

from instruct_mner.console import working
from instruct_mner.data.dataset import Dataset
from instruct_mner.engines.endpoint import Endpoint
from instruct_mner.errors import ServingError
from instruct_mner.schema.records import Prediction
from instruct_mner.serving.settings import KEY_VARIABLE
from instruct_mner.synthetic.label_sets import HELD_OUT
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.vllm_runtime.process import VllmProcess, free_port

_NAME = "demo"


class DemoServer:
    """``serve`` in a process of its own, which starts while something else is done.

    Args:
        run: The run folder of the adapter.
        process: Process of the server.
        console: Console of its progress.
    """

    def __init__(self, run: Path, process: VllmProcess, console: Console) -> None:
        self._run, self._process, self._console = run, process, console

    def tag(self, dataset: Dataset) -> tuple[Prediction, ...] | None:
        """Tag posts with their pictures, once it is ready; ``None``, with a message, where it does not start."""

        def is_ready() -> bool:
            with suppress(httpx.TransportError):
                return httpx.get(f"{self._process.url}/health", timeout=5).status_code == 200
            return False

        with working("waiting for vLLM"):
            try:
                self._process.wait_until_ready(is_ready, lambda _: None)
            except ServingError as error:
                self._console.print(f"served    not: {error}", markup=False)
                return None
        endpoint = Endpoint(self._process.url, _NAME, concurrency=16)
        tagger = Tagger.connect(endpoint, adapter=self._run)
        labels = HELD_OUT.label_set(definitions=True)
        return tuple(tagger.predict(dataset.examples, dataset.picture_paths, labels=labels))


@contextmanager
def server(run: Path, console: Console) -> Iterator[DemoServer | None]:
    """Start ``serve`` on an adapter, and end it; ``None``, with a message, where vLLM is not installed."""
    if find_spec("vllm") is None:
        console.print("served    not: vLLM is not installed ('make setup' brings it); tagged in this process alone")
        yield None
        return
    port = free_port()
    command = [sys.executable, "-m", "instruct_mner", "serve", f"{_NAME}={run}", "--port", str(port)]
    # The posts are few: a small cache is enough. Nobody else is to ask it, so that it needs no key.
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ}
    environment.pop(KEY_VARIABLE, None)
    console.print(f"serving   {run.name}, the adapter, with vLLM: instruct-mner serve {quote(str(run))}", markup=False)
    with VllmProcess(command, f"http://127.0.0.1:{port}", environment) as process:
        yield DemoServer(run, process, console)
