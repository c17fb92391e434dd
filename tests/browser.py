"""A headless Chromium that a test drives through its DevTools protocol."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

# Nothing takes so long but on a machine with much else to do.
_SECONDS = 120


class Tab:
    """An open page.

    Attributes:
        complaints: Errors that the browser reports.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=_SECONDS))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}:
            self.complaints.append(json.dumps(message["params"])[:500])

    def open(self, url: str, *, width: int = 1280, dark: bool = False) -> None:
        """Open a page, and wait until it is loaded."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=url)
        self.run("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))")

    def run(self, script: str) -> Any:
        """Return the value of an expression, once it is there."""
        result = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def nameless_controls(self) -> list[str]:
        """Return the roles of controls that a screen reader has no name for."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "textbox", "searchbox", "combobox", "slider", "spinbutton", "link", "image"}
        return [
            each["role"]["value"]
            for each in nodes
            if not each.get("ignored") and each["role"]["value"] in roles and not each.get("name", {}).get("value")
        ]

    def serious_findings(self) -> list[str]:
        """Return the serious and critical findings of axe-core; the test is skipped where it is not installed."""
        self.run(axe_core())
        report = self.run("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {each['help']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
            for each in report["violations"]
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"]
        ]


VIEWS = [(390, False), (390, True), (1280, False), (1280, True)]
"""Width and theme of all views: a phone and a screen, light and dark."""


def axe_core() -> str:
    """Return the script of axe-core, from one of the packages that carry it."""
    for package in ("axe_playwright_python", "axe_core_python"):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec is not None else []:
            script = Path(folder) / "axe.min.js"
            if script.is_file():
                return script.read_text(encoding="utf-8") + "; 0"
    pytest.skip("axe-core is not installed (pip install axe-core-python)")


@contextmanager
def browser(home: Path) -> Iterator[Tab]:
    """Run a browser with a home of its own; the test is skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", *quiet]
    command += [f"--user-data-dir={home / 'profile'}", "about:blank"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "HOME": str(home)})
    try:
        assert process.stderr is not None
        address = next(match[1] for line in process.stderr if (match := re.search(r"(ws://\S+)", line)))
        with connect(address, max_size=2**26, open_timeout=_SECONDS) as whole:
            whole.send(json.dumps({"id": 1, "method": "Target.getTargets", "params": {}}))
            targets = json.loads(whole.recv(timeout=_SECONDS))["result"]["targetInfos"]
            target = next(each["targetId"] for each in targets if each["type"] == "page")
        page = re.sub(r"/devtools/browser/.*", f"/devtools/page/{target}", address)
        with connect(page, max_size=2**26, open_timeout=_SECONDS) as connection:
            yield Tab(connection)
    finally:
        process.kill()
        process.wait()
