from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from instruct_mner.errors import DataError
from instruct_mner.quickstart.page import PageColumn, PagePost, PageTable, write_page
from instruct_mner.schema.records import Box, Entity, PredictedEntity

SCORES = PageTable(("F1, %", "before", "after"), [("span & type", "0.0", "97.5")])
TEXT = "<script>alert(1)</script> Ann & Bo in <b>Rome</b>"


class Page(HTMLParser):
    """The tags of a page with their attributes, and its words."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.tags if name in (attributes.get("class") or "").split()]


def entity(text: str, surface: str, label: str, *boxes: Box, score: float | None = None) -> Entity:
    start = text.index(surface)
    values = {"start": start, "end": start + len(surface), "text": surface, "label": label, "boxes": boxes}
    return Entity(**values) if score is None else PredictedEntity(**values, score=score)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.new("RGB", (400, 200), "white").save(path)
    return path


def write(tmp_path: Path, *rows: PagePost, notes: tuple[str, ...] = (), title: str = "A page") -> str:
    path = tmp_path / "new" / "index.html"
    write_page(path, title=title, notes=notes, rows=rows, scores=SCORES)
    return path.read_text(encoding="utf-8")


def test_whatever_comes_from_outside_is_escaped(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    spans = (entity(TEXT, "<script>", evil), entity(TEXT, "<b>Rome", 'LOC" onclick="x'))
    column = PageColumn(f"gold {evil}", spans, note=evil)
    source = write(tmp_path, PagePost(TEXT, None, (column,)), notes=(evil,), title=evil)
    page = Page(source)
    assert not {"script", "b", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    words = "".join(page.words)
    assert "<script>" in words
    assert "alert(1)</script> Ann & Bo in " in words
    assert "span & type" in words


def test_the_text_is_whole_and_marked_with_labels_in_words(tmp_path: Path) -> None:
    text = "Ann in Rome"
    found = (entity(text, "Ann", "PER", score=0.987), entity(text, "Rome", "LOC", score=0.5))
    source = write(tmp_path, PagePost(text, None, (PageColumn("predicted", found),)))
    [paragraph] = re.findall(r'<p class="text">(.*?)</p>', source)
    assert re.sub(r"<small>.*?</small>", "", paragraph).replace("</mark>", "").count("<mark") == 2
    assert re.sub(r"<small>.*?</small>|<[^>]*>", "", paragraph) == text
    assert re.findall(r"<small>(.*?)</small>", paragraph) == ["PER <span>99 %</span>", "LOC <span>50 %</span>"]
    colours = [tag["class"] for tag in Page(source).of_class("colour-0") + Page(source).of_class("colour-1")]
    assert len(colours) == 2


def test_gold_has_no_confidence(tmp_path: Path) -> None:
    source = write(tmp_path, PagePost("Ann", None, (PageColumn("gold", (entity("Ann", "Ann", "PER"),)),)))
    assert "<small>PER</small>" in source


def test_boxes_are_in_percent_of_the_picture(tmp_path: Path, picture: Path) -> None:
    gold = entity("Ann", "Ann", "PER", Box(box=(100, 50, 300, 200)), Box(image=1, box=(0, 0, 1, 1)))
    page = Page(write(tmp_path, PagePost("Ann", picture, (PageColumn("gold", (gold,)),))))
    [box] = page.of_class("box")
    assert box["style"] == "left:25.00%;top:25.00%;width:50.00%;height:75.00%"


def test_large_pictures_are_made_small_and_their_boxes_stay(tmp_path: Path) -> None:
    Image.effect_noise((3000, 1500), 90).save(tmp_path / "large.png")
    gold = entity("Ann", "Ann", "PER", Box(box=(750, 0, 1500, 1500)))
    source = write(tmp_path, PagePost("Ann", tmp_path / "large.png", (PageColumn("gold", (gold,)),)))
    assert len(source) < 600_000
    [box] = Page(source).of_class("box")
    assert box["style"] == "left:25.00%;top:0.00%;width:25.00%;height:100.00%"


def test_it_needs_nothing_else(tmp_path: Path, picture: Path) -> None:
    page = Page(write(tmp_path, PagePost("Ann", picture, (PageColumn("gold", ()), PageColumn("found", ())))))
    sources = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert not {"link", "script", "iframe"} & {tag for tag, _ in page.tags}
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert not [value for _, tag in page.tags for value in tag.values() if "http" in (value or "")]


def test_what_is_not_there_is_said(tmp_path: Path, picture: Path) -> None:
    unseen = entity("Ann", "Ann", "PER")
    columns = (PageColumn("gold", (unseen,)), PageColumn("predicted", (), note="2 items rejected"))
    words = "".join(Page(write(tmp_path, PagePost("Ann", picture, columns), PagePost("x", None, ()))).words)
    assert "not in the picture: Ann" in words
    assert "no entity" in words
    assert "2 items rejected" in words


def test_more_labels_than_colours(tmp_path: Path) -> None:
    text = " ".join(f"e{number}" for number in range(10, 22))
    found = [entity(text, word, f"L{word}") for word in text.split()]
    source = write(tmp_path, PagePost(text, None, (PageColumn("gold", found),)))
    assert all(f"<small>Le{number}</small>" in source for number in range(10, 22))


def test_a_missing_picture_is_told_and_leaves_no_page(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.png"):
        write(tmp_path, PagePost("Ann", tmp_path / "nowhere.png", (PageColumn("gold", ()),)))
    assert not (tmp_path / "new" / "index.html").exists()
