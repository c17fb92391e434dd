from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError
from instruct_mner.report.files import ReportOptions, write_report
from instruct_mner.report.page import PageTable, PageText
from instruct_mner.report.posts import OUTCOMES, page_posts
from instruct_mner.schema.records import PredictedEntity, Prediction, Rejected
from instruct_mner.scoring.outcomes import Outcome

TEXT = PageText(
    title="Title & more",
    paragraphs=("first <p>", "second"),
    tables=(PageTable(title="Beside", head=("F1", "<best>"), rows=(("row", "92.4"),), note="a note"),),
)


def posts(folder: Path) -> Path:
    path = folder / "gold.jsonl"
    path.write_text('{"id": "1", "text": "Ann", "entities": []}\n', encoding="utf-8")
    return path


def test_words_and_tables_of_the_caller(tmp_path: Path) -> None:
    dataset = load_split(str(posts(tmp_path)))
    predicted = {"one": [Prediction(id="1", text="Ann")]}
    write_report(tmp_path / "page.html", TEXT, dataset, predicted, options=ReportOptions(num_resamples=5))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for part in ("<h1>Title &amp; more</h1>", "<p>first &lt;p&gt;</p>", "Beside", "&lt;best&gt;", "92.4", "a note"):
        assert part in page


def test_of_many_types_those_with_the_most_errors_have_a_row(tmp_path: Path) -> None:
    labels = [f"t{number:02}" for number in range(30)]
    gold = tmp_path / "gold.jsonl"
    with gold.open("w", encoding="utf-8") as file:
        for label in labels:
            entity = {"start": 0, "end": 3, "text": "Ann", "label": label}
            file.write(json.dumps({"id": label, "text": "Ann", "entities": [entity]}) + "\n")
    dataset = load_split(str(gold))
    right, wrong = labels[:12], labels[12:]
    found = [
        Prediction(
            id=label, text="Ann", entities=(PredictedEntity(start=0, end=3, text="Ann", label=label, score=1.0),)
        )
        if label in right
        else Prediction(id=label, text="Ann")
        for label in labels
    ]
    write_report(tmp_path / "page.html", TEXT, dataset, {"one": found}, options=ReportOptions(num_resamples=5))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    table = page.partition('aria-label="Types, one"')[2].partition("</table>")[0]
    names = re.findall(r'<th scope="row"><span class="name(?: absent)?">(.*?)</span>', table)
    assert names == [labels[0], *wrong, "11 other types", "no counterpart"]
    assert "The 19 types with the most errors have a row of their own; 11 other types are all the rest." in page
    assert "all confidences are equal" in page


def test_a_run_without_entities_says_so(tmp_path: Path) -> None:
    dataset = load_split(str(posts(tmp_path)))
    write_report(tmp_path / "page.html", TEXT, dataset, {"one": [Prediction(id="1", text="Ann")]})
    assert "no entity was predicted: nothing to draw" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_is_odd_in_a_file_is_said(tmp_path: Path) -> None:
    entity = {"start": 0, "end": 3, "text": "Ann", "label": "PER", "boxes": []}
    (tmp_path / "gold.jsonl").write_text(json.dumps({"id": "1", "text": "Ann", "entities": [entity]}), encoding="utf-8")
    found = PredictedEntity(start=0, end=3, text="Ann", label="per")
    predicted = {"one": [Prediction(id="1", text="Ann", entities=(found,))]}
    dataset = load_split(str(tmp_path / "gold.jsonl"))
    write_report(tmp_path / "page.html", TEXT, dataset, predicted, options=ReportOptions(num_resamples=5))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "one: no predicted type is one of the gold&#39;s; did you mean PER by per?" in page
    assert "one: not grounded: 1 of 1 predicted entities have no &#39;boxes&#39;" in page


def test_rejected_items_are_no_confidences(tmp_path: Path) -> None:
    dataset = load_split(str(posts(tmp_path)))
    predicted = {"one": [Prediction(id="1", text="Ann", rejected=Rejected(malformed=2))]}
    write_report(tmp_path / "page.html", TEXT, dataset, predicted, options=ReportOptions(num_resamples=5))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "no entity was predicted: nothing to draw" in page
    assert "all confidences are equal" not in page


@pytest.mark.parametrize("label", ["nothing", "no counterpart"])
def test_a_type_may_be_called_as_the_last_row(label: str, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    entity = {"start": 0, "end": 3, "text": "Ann", "label": label}
    gold.write_text(json.dumps({"id": "1", "text": "Ann", "entities": [entity]}) + "\n", encoding="utf-8")
    predicted = {"one": [Prediction(id="1", text="Ann")]}
    write_report(tmp_path / "page.html", TEXT, load_split(str(gold)), predicted, options=ReportOptions(num_resamples=5))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    table = page.partition('aria-label="Types, one"')[2].partition("</table>")[0]
    rows = re.findall(r'<th scope="row"><span class="(.*?)">(.*?)</span></th>(.*?)</tr>', table)
    assert [(kind, name) for kind, name, _ in rows] == [("name", label), ("name absent", "no counterpart")]
    assert [re.findall(r">(\d*)</td>", cells) for _, _, cells in rows] == [["", "1"], ["", ""]]


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    dataset = load_split(str(posts(tmp_path)))
    with pytest.raises(DataError):
        write_report(tmp_path, TEXT, dataset, {"one": [Prediction(id="1", text="Ann")]})


def test_posts_without_runs_or_pictures() -> None:
    made = page_posts([], [], [], [], most_pictures=3)
    assert (made.posts, made.labels, made.pictures, made.num_named) == ((), (), {}, 0)
    # The script names outcomes by their place in this order.
    assert tuple(Outcome) == OUTCOMES
