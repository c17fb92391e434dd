"""The page of a report in a real browser, at the widths of a phone and of a screen, light and dark."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from browser import VIEWS, browser
from PIL import Image

from instruct_mner.cli import main, report

# Filters the posts as a user would, and returns what the browser made of it.
_USE = """(() => {
const field = name => document.querySelector(`[name=${name}]`);
const change = (name, value) => { field(name).value = value; form.dispatchEvent(new Event("input")); };
const cards = () => document.querySelectorAll("article").length;
const all = cards(), counts = {};
document.getElementById("more").click();
counts.more = cards();
for (const [name, value] of [["outcome", "4"], ["outcome", "0"], ["type", "1"], ["high", "50"], ["text", "NOBODY 7"]]) {
  change(name, value);
  counts[name + value] = document.getElementById("count").textContent;
  change(name, "");
}
change("text", "nobody knows");
const none = document.getElementById("list").textContent;
change("text", "nobody 39");
const without = [...document.querySelectorAll(".who")].map(who => who.textContent);
change("text", "first");
const boxes = [...document.querySelectorAll(".box")].map(box => {
  const at = box.getBoundingClientRect(), image = box.parentElement.querySelector("img").getBoundingClientRect();
  return [(at.left - image.left) / image.width, (at.top - image.top) / image.height,
          (at.right - image.left) / image.width, (at.bottom - image.top) / image.height];
});
const marks = [...document.querySelectorAll("mark")].map(mark => mark.textContent);
const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
const dark = getComputedStyle(document.body).backgroundColor;
const alts = [...document.images].map(image => image.alt), note = document.querySelector("article .soft").textContent;
return {all, counts, none, without, boxes, alts, note, marks, wide, dark,
        shown: document.querySelector("img").naturalWidth > 0};
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 41 posts, the first with two pictures and a third that is missing."""
    folder = tmp_path_factory.mktemp("report")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (200, 100), "white").save(folder / name)
    boxes = [{"image": 0, "box": [50, 25, 150, 75]}, {"image": 2, "box": [0, 0, 100, 50]}]
    ann = {"start": 6, "end": 9, "text": "Ann", "label": "PER", "boxes": boxes}
    rome = {"start": 13, "end": 17, "text": "Rome", "label": "LOC", "boxes": []}
    first = {"id": "first", "text": "𝒳 met Ann in Rome", "images": ["a.png", "gone.png", "b.png"]}
    others = [{"id": f"post-{number}", "text": f"nobody {number}"} for number in range(40)]
    gold = [{**first, "entities": [ann, rome]}, *({**each, "entities": []} for each in others)]
    spurious = {"start": 0, "end": 6, "text": "nobody", "label": "PER", "boxes": [], "score": 0.3}
    found = [{**first, "entities": [{**rome, "score": 0.9}]}]
    found += [{**each, "entities": [spurious] if number == 3 else []} for number, each in enumerate(others)]
    for name, rows in (("gold", gold), ("found", found)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    arguments = [str(folder / "gold.jsonl"), str(folder / "found.jsonl"), "-o", str(folder / "page.html")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["instruct-mner", "report", *arguments, "--resamples", "50"])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code
    return folder / "page.html"


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_filter_boxes_and_marks(width: int, dark: bool, page: Path, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        tab.open(page.as_uri(), width=width, dark=dark)
        measured: dict[str, Any] = tab.run(_USE)
        assert tab.nameless_controls() == []
        assert tab.complaints == []
    assert (measured["all"], measured["counts"].pop("more")) == (25, 41)
    assert measured["counts"] == {
        "outcome4": "1 of 41 posts",  # missed
        "outcome0": "1 of 41 posts",  # right
        "type1": "2 of 41 posts",
        "high50": "1 of 41 posts",
        "textNOBODY 7": "1 of 41 posts",
    }
    assert measured["none"] == "No post has all of these."
    assert [each.rpartition("/")[2] for each in measured["without"]] == ["gold · no entity", "found.jsonl · no entity"]
    assert measured["shown"]
    assert measured["boxes"] == [
        pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.02),
        pytest.approx([0, 0, 0.5, 0.5], abs=0.02),
    ]
    assert measured["alts"] == ["picture 1 of the post", "picture 3 of the post"]
    assert measured["note"] == "post first · not in this page: 1 of its 3 pictures"
    assert measured["marks"] == [
        "AnnPER · missed",
        "RomeLOC, not in the picture",
        "Rome✓ LOC 90 %, not in the picture",
    ]
    assert not measured["wide"]
    assert (measured["dark"] == "rgb(20, 21, 24)") is dark


def test_axe_finds_nothing_serious(page: Path, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        for width, dark in VIEWS:
            tab.open(page.as_uri(), width=width, dark=dark)
            assert tab.serious_findings() == []
        tab.run("document.documentElement.removeAttribute('lang'); 0")
        assert [each.partition(":")[0] for each in tab.serious_findings()] == ["html-has-lang"]


def test_the_page_is_named(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = page.parent
    report.run(str(folder / "gold.jsonl"), [folder / "found.jsonl"], output=folder / "again.html", resamples=5)
    assert capsys.readouterr().out.strip() == str(folder / "again.html")
    assert (folder / "again.html").is_file()
