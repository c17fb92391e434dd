from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from instruct_mner.errors import ConfigError, DataError
from instruct_mner.report.files import ReportOptions, report_files
from instruct_mner.report.pictures import PagePicture, read_picture
from instruct_mner.schema.records import Box
from instruct_mner.scoring.files import GoldSource

HOSTILE = "</script><script>alert(1)</script> Ann & <b>Bo</b>\u2028 in 𝒳 Rome"
QUICK = ReportOptions(num_resamples=20)


class Tags(HTMLParser):
    """Tags of a page with their attributes."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def span(text: str, surface: str, label: str, **more: object) -> dict[str, object]:
    start = text.index(surface)
    return {"start": start, "end": start + len(surface), "text": surface, "label": label, **more}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[GoldSource, Path, Path]:
    """Gold of three posts, one of them with a picture, and two prediction files."""
    Image.new("RGB", (200, 100), "white").save(tmp_path / "a.png")
    evil = '"><img src=x onerror=alert(1)>'
    box = {"image": 0, "box": [50, 25, 150, 75]}
    rows: list[dict[str, Any]] = [
        {"id": "1", "text": HOSTILE, "entities": [span(HOSTILE, "Ann", evil), span(HOSTILE, "Rome", "LOC")]},
        {"id": "2", "text": "Bo ran", "images": ["a.png"], "entities": [span("Bo ran", "Bo", "PER", boxes=[box])]},
        {"id": "3", "text": "nobody", "images": ["gone.png"], "entities": []},
    ]
    gold = GoldSource(data=str(write(tmp_path / "gold.jsonl", *rows)))
    empty = [{**row, "entities": []} for row in rows]
    found = [{**rows[0], "entities": [span(HOSTILE, "Rome", "LOC", score=0.999)]}, *rows[1:]]
    return gold, write(tmp_path / "first.jsonl", *empty), write(tmp_path / "second.jsonl", *found)


def test_a_page_is_made_anew_and_no_other_file_is_written_over(
    files: tuple[GoldSource, Path, Path], tmp_path: Path
) -> None:
    gold, first, second = files
    old = tmp_path / "other.html"
    old.write_text("<!doctype html><title>mine</title>")
    for path in (Path(gold.data), first, tmp_path / "a.png", old):
        before = path.read_bytes()
        with pytest.raises(ConfigError, match=f"{path.name} exists; choose another name or remove it"):
            report_files(path, gold, [first], options=QUICK)
        assert path.read_bytes() == before
    for predicted in (first, second):
        report_files(tmp_path / "page.html", gold, [predicted], title=predicted.stem, options=QUICK)
        assert f"<title>{predicted.stem}" in (tmp_path / "page.html").read_text(encoding="utf-8")


def embedded(page: str, name: str) -> Any:
    match = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def test_whatever_comes_from_outside_is_escaped(files: tuple[GoldSource, Path, Path], tmp_path: Path) -> None:
    gold, first, second = files
    page_file = tmp_path / "page.html"
    report_files(page_file, gold, [first, second], names=["<b>one", "two"], title="<i>", options=QUICK)
    page = page_file.read_text(encoding="utf-8")
    tags = Tags(page).found
    assert not {"b", "i"} & {tag for tag, _ in tags}
    assert sum(tag == "script" for tag, _ in tags) == 3
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    # Nothing is loaded from elsewhere.
    places = [each[name] for _, each in tags for name in ("src", "href") if name in each]
    assert all(place is not None and place.startswith(("data:", "#")) for place in places)
    assert "default-src 'none'" in page


def test_the_posts_of_the_page(files: tuple[GoldSource, Path, Path], tmp_path: Path) -> None:
    gold, first, second = files
    report_files(tmp_path / "page.html", gold, [first, second], names=["one", "two"], options=QUICK)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    data = embedded(page, "data")
    assert data["runs"] == ["one", "two"]
    hostile, pictured, last = data["posts"]
    assert hostile["t"] == HOSTILE
    start, end, label, visible, boxes, percent, outcome = hostile["r"][1][0][0]
    assert (HOSTILE[start:end], data["labels"][label], visible, boxes) == ("Rome", "LOC", 0, [])
    assert (percent, data["outcomes"][outcome]) == (99, "right")
    assert [data["outcomes"][each] for each in hostile["r"][1][1]] == ["missed", "right"]
    assert pictured["g"][0][3:] == [2, [[0, 25, 25, 50, 50]]]
    assert [each.get("p") for each in (hostile, pictured, last)] == [None, 1, 1]
    assert {number: list(each) for number, each in embedded(page, "pictures").items()} == {"1": ["0"]}
    assert "1 of 2 pictures are in this page" in page
    assert "1 picture(s) are missing." in page


def test_all_pictures_of_a_post_are_shown_with_their_boxes(tmp_path: Path) -> None:
    for number, width in enumerate((100, 200)):
        Image.new("RGB", (width, 100), "white").save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    boxes = [{"image": image, "box": [20, 0, 40, 100]} for image in (1, 2)]
    images = ["gone.png", "0.png", "1.png", "broken.png"]
    row = {"id": "1", "text": "Bo ran", "images": images, "entities": [span("Bo ran", "Bo", "PER", boxes=boxes)]}
    gold = write(tmp_path / "gold.jsonl", row)
    found = write(tmp_path / "found.jsonl", {**row, "entities": [span("Bo ran", "Bo", "PER", boxes=boxes[1:])]})

    def made(most: int) -> tuple[str, dict[str, Any], list[str]]:
        options = ReportOptions(num_resamples=5, most_pictures=most)
        report_files(tmp_path / "page.html", GoldSource(data=str(gold)), [found], options=options)
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        return page, embedded(page, "data")["posts"][0], list(embedded(page, "pictures").get("0", {}))

    page, post, shown = made(5)
    assert (post["p"], shown) == (4, ["1", "2"])
    assert post["g"][0][4] == [[1, 20, 0, 20, 100], [2, 10, 0, 10, 100]]
    assert post["r"][0][0][0][4] == [[2, 10, 0, 10, 100]]
    assert "2 of 4 pictures are in this page" in page
    assert "1 picture(s) are missing. 1 picture(s) cannot be opened." in page
    page, post, shown = made(1)
    assert (shown, post["g"][0][4]) == (["1"], [[1, 20, 0, 20, 100]])
    assert "1 of 4 pictures are in this page" in page


def test_no_more_pictures_than_wanted(files: tuple[GoldSource, Path, Path], tmp_path: Path) -> None:
    gold, first, _ = files
    few = ReportOptions(num_resamples=20, most_pictures=0)
    report_files(tmp_path / "page.html", gold, [first], options=few)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert embedded(page, "pictures") == {}
    assert embedded(page, "data")["posts"][1]["p"] == 1
    assert "0 of 2 pictures are in this page" in page


def test_seen_mentions_and_differences(files: tuple[GoldSource, Path, Path], tmp_path: Path) -> None:
    gold, first, second = files
    page_file = tmp_path / "page.html"
    report_files(page_file, gold, [first, second], names=["one", "two"], train=gold.data, options=QUICK)
    page = page_file.read_text(encoding="utf-8")
    assert "two less one" in page
    assert "recall of mentions seen in training" in page
    # Two of three entities are found by the second, nothing by the first: F1 80 and 0.
    assert "+80.0<small>" in page


def test_training_data_are_read_as_the_gold_is(tmp_path: Path) -> None:
    """Strict decoding drops what begins with ``I-``, in the training data too."""
    train, gold = tmp_path / "train.conll", tmp_path / "gold.conll"
    train.write_text("Ann\tB-PER\nmet\tO\nBo\tI-PER\n\n", encoding="utf-8")
    gold.write_text("Ann\tB-PER\nand\tO\nBo\tB-PER\n\n", encoding="utf-8")
    numbers = {}
    for decode in ("tolerant", "strict"):
        source = GoldSource(data=str(gold), decode=decode)
        report_files(tmp_path / "page.html", source, [gold], train=str(train), options=QUICK)
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        numbers[decode] = re.findall(r"<small>(\d+) mentions</small>", page)
    assert numbers == {"tolerant": ["2", "0"], "strict": ["1", "1"]}


def test_training_data_have_the_labels_of_the_gold(tmp_path: Path) -> None:
    file = tmp_path / "test.txt"
    file.write_text("IMGID:7\nAnn\tB-person\tB-artist\nran\tO\tO\n", encoding="utf-8")
    predicted = write(
        tmp_path / "p.jsonl", {"id": "7", "text": "Ann ran", "entities": [span("Ann ran", "Ann", "person")]}
    )
    source = GoldSource(data=f"fmnerg:{file}", label_column="coarse")
    report_files(tmp_path / "page.html", source, [predicted], train=f"fmnerg:{file}", options=QUICK)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"<td>([\d.]+)<small>(\d+) mentions</small>", page) == [("100.0", "1"), ("0.0", "0")]


@pytest.mark.parametrize(("names", "message"), [(["a"], "1 --name for 2"), (["a", "a"], "the same name")])
def test_names(names: list[str], message: str, files: tuple[GoldSource, Path, Path], tmp_path: Path) -> None:
    gold, first, second = files
    with pytest.raises(ConfigError, match=message):
        report_files(tmp_path / "page.html", gold, [first, second], names=names, options=QUICK)
    assert not (tmp_path / "page.html").exists()


def test_other_posts_are_refused(files: tuple[GoldSource, Path, Path], tmp_path: Path) -> None:
    gold, first, _ = files
    other = write(tmp_path / "other.jsonl", {"id": "9", "text": "x", "entities": []})
    with pytest.raises(DataError, match="not of the same posts"):
        report_files(tmp_path / "page.html", gold, [first, other], options=QUICK)
    assert not (tmp_path / "page.html").exists()


def test_boxes_are_shares_of_the_picture() -> None:
    picture = PagePicture(source="", width=200, height=50)
    assert picture.place(Box(box=(20, 10, 120, 30))) == [10, 20, 50, 40]


def test_pictures_are_made_small(tmp_path: Path) -> None:
    Image.new("RGB", (4000, 2000), "red").save(tmp_path / "large.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    picture = read_picture(tmp_path / "large.png")
    assert picture is not None
    assert (picture.width, picture.height) == (4000, 2000)
    assert len(picture.source) < 10_000
    assert read_picture(tmp_path / "broken.png") is None
