"""What is said of GMNER and FMNERG beside the scores of their spans."""

from __future__ import annotations

from pathlib import Path

from eval.experiments.smollm2_other_scores import other_scores
from instruct_mner.schema.records import PredictedEntity, Prediction

TEXT = "Ann in Rome"
POST = "IMGID:7\nAnn\tB-{0}\nin\tO\nRome\tB-{1}\n\n"
XML = (
    "<annotation><filename>7.jpg</filename><object><name>Ann</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
    "<xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)


def _predicted(first: str, second: str) -> list[Prediction]:
    entities = ((0, 3, "Ann", first), (7, 11, "Rome", second))
    placed = (PredictedEntity(start=a, end=b, text=text, label=label, score=0.9) for a, b, text, label in entities)
    return [Prediction(id="7", text=TEXT, entities=tuple(placed))]


def test_fine_types_are_scored_as_coarse_ones(tmp_path: Path) -> None:
    post = "IMGID:{0}\nAnn\tB-person\tB-{1}\nin\tO\tO\nRome\tB-location\tB-{2}\n\n"
    (tmp_path / "train.txt").write_text(post.format(1, "athlete", "city") + post.format(2, "actor", "country"))
    (tmp_path / "test.txt").write_text(post.format(7, "actor", "city"))
    predicted = [_predicted("athlete", "city"), _predicted("athlete", "actor")]
    coarse, published = other_scores("fmnerg", "text", predicted, tmp_path)
    assert coarse.endswith("micro F1 100.00, 50.00.")
    assert "E2E-GMNER 54.32" in published


def test_triples_with_nothing_told_as_visible(tmp_path: Path) -> None:
    (tmp_path / "txt").mkdir()
    (tmp_path / "xml").mkdir()
    (tmp_path / "txt" / "test.txt").write_text(POST.format("PER", "LOC"))
    (tmp_path / "xml" / "7.xml").write_text(XML)
    triples, published = other_scores("gmner", "text", [_predicted("PER", "LOC")], tmp_path)
    assert triples.endswith("F1 of triples 50.00.")  # Ann has a box
    assert "H-Index 56.41" in published


def test_of_other_sets_nothing_more_is_said(tmp_path: Path) -> None:
    assert not list(other_scores("twitter2017", "text", [_predicted("PER", "LOC")], tmp_path))
