"""The playground as a person uses it: a key, a text, a picture, and a press of the button."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from browser import Tab

_ASK = """new Promise(done => {
  const look = () => status.textContent.includes("asking") || done(status.textContent);
  new MutationObserver(look).observe(status, {childList: true});
  form.requestSubmit();
})"""
_DROP = """new Promise(done => {
  const look = () => preview.querySelector("img") && done(true);
  new MutationObserver(look).observe(preview, {childList: true, subtree: true});
  const bytes = Uint8Array.from(atob(%s), each => each.charCodeAt(0)), dropped = new DataTransfer();
  dropped.items.add(new File([bytes], "a.png", {type: "image/png"}));
  form.dispatchEvent(new DragEvent("drop", {dataTransfer: dropped, cancelable: true}));
})"""


def opened(tab: Tab, url: str, key: str, **view: Any) -> Tab:
    """Open the page, and write the key."""
    tab.complaints.clear()
    tab.open(url + "/", **view)
    tab.run(f"field('key').value = '{key}'; loadModels()")
    return tab


def asked(tab: Tab, text: str | None = None, picture: Path | None = None) -> str:
    """Write a text, drop a picture, ask, and return the line below the button."""
    if text is not None:
        tab.run(f"field('text').value = {json.dumps(text)}; 0")
    if picture is not None:
        assert tab.run(_DROP % json.dumps(base64.b64encode(picture.read_bytes()).decode()))
    return str(tab.run(_ASK))


def complaints(tab: Tab) -> list[str]:
    """Return errors of the page; before the key is written, the models are refused."""
    return [each for each in tab.complaints if "v1/models" not in each]
