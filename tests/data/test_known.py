from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from published import published

from instruct_mner.data.bio import token_bounds
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.known import _KNOWN, known_name
from instruct_mner.data.loading import load_split
from instruct_mner.schema.choices import LabelColumn
from instruct_mner.schema.records import Example

SETS = [
    ("twitter2015", "fine", "Twitter-2015 (original labels)"),
    ("twitter2015_repaired", "fine", "Twitter-2015 (repaired labels)"),
    ("twitter2017", "fine", "Twitter-2017"),
    ("gmner", "fine", "Twitter-GMNER v2.0"),
    ("fmnerg", "coarse", "FMNERG (coarse labels)"),
    ("fmnerg", "fine", "FMNERG (fine labels)"),
    ("cmner", "fine", "CMNER"),
]
OFTEN = [("twitter2017", "fine"), ("gmner", "fine"), ("fmnerg", "coarse")]


def test_hashes_are_whole_and_names_are_given_once() -> None:
    assert all(len(key) == 64 and int(key, 16) >= 0 for key in _KNOWN)
    assert len(set(_KNOWN.values())) == len(_KNOWN)
    assert all(re.search(r"\S, (train|dev|test)(, strict)?$", name) for name in _KNOWN.values())


def test_the_content_comes_before_the_text() -> None:
    by_name = {name: key for key, name in _KNOWN.items()}
    grounded, text = by_name["Twitter-GMNER v2.0, dev"], by_name["Twitter-GMNER v2.0 (text), dev"]
    assert known_name(grounded, text) == "Twitter-GMNER v2.0, dev"
    assert known_name("0" * 64, text) == known_name(None, text) == "Twitter-GMNER v2.0 (text), dev"
    assert known_name(grounded) == "Twitter-GMNER v2.0, dev"
    assert known_name("0" * 64, "1" * 64) is known_name(None) is None


# A set of each format in every run, the others among the proofs.
@pytest.mark.parametrize(
    ("folder", "column", "name"),
    [pytest.param(*each, marks=() if each[:2] in OFTEN else pytest.mark.prove, id="-".join(each)) for each in SETS],
)
def test_published_sets_have_names(shared_data: Path, folder: str, column: LabelColumn, name: str) -> None:
    splits = published(shared_data / folder, column)
    assert {split: dataset.known for split, dataset in splits.items()} == {
        split: f"{name}, {split}" for split in ("train", "dev", "test")
    }


def test_the_content_tells_not_the_folder(shared_data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "twitter2015" / "test.txt"
    copy.parent.mkdir()
    shutil.copyfile(shared_data / "twitter2015_repaired" / "test.txt", copy)
    assert load_split(str(copy), missing_image="keep").known == "Twitter-2015 (repaired labels), test"
    copy.chmod(0o644)
    with copy.open("a") as file:
        file.write("\nIMGID:new\na\tO\n")
    assert load_split(str(copy), missing_image="keep").known is None


def test_gmner_is_known_by_its_text_whatever_its_boxes(shared_data: Path, tmp_path: Path) -> None:
    text = shared_data / "gmner" / "txt" / "test.txt"
    assert load_split(f"conll:{text}", missing_image="keep").known == "Twitter-GMNER v2.0 (text), test"
    first = text.read_text().partition("IMGID:")[2].split()[0]
    (tmp_path / f"{first}.xml").write_text("<annotation></annotation>")
    without_boxes = load_split(f"gmner:{text}", missing_image="keep", xml=tmp_path)
    assert without_boxes.known == "Twitter-GMNER v2.0 (text), test"
    assert all(entity.boxes == () for example in without_boxes.examples for entity in example.gold)


def _tags(post: Example) -> list[str]:
    """Return the BIO tags of the tokens of a post."""
    tags = []
    for start, _ in token_bounds(post.tokens or ()):
        inside = [entity for entity in post.gold if entity.start <= start < entity.end]
        tags.append("".join(f"{'B' if start == entity.start else 'I'}-{entity.label}" for entity in inside) or "O")
    return tags


@pytest.mark.parametrize(
    ("folder", "name"), [("twitter2017", "Twitter-2017"), ("twitter2015", "Twitter-2015 (original labels)")]
)
@pytest.mark.parametrize("change", ["order", "jsonl", "columns"])
def test_published_sets_are_known_however_they_are_written(
    shared_data: Path, tmp_path: Path, folder: str, name: str, change: str
) -> None:
    content = (shared_data / folder / "test.txt").read_bytes().replace(b"\r\n", b"\n")
    if change == "order":
        content = b"\n\n".join(reversed(content.rstrip(b"\n").split(b"\n\n")))
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    dataset = load_split(str(path), missing_image="keep")
    if change in {"jsonl", "columns"}:
        path = tmp_path / "mine.jsonl"
        write_jsonl(path, dataset.examples)
        dataset = load_split(str(path), missing_image="keep")
    if change == "columns":
        rows = (
            f"IMGID:{post.id}\n"
            + "".join(f"{token}\t{tag}\n" for token, tag in zip(post.tokens or (), _tags(post), strict=True))
            for post in dataset.examples
        )
        (tmp_path / "again.txt").write_text("\n".join(rows))
        dataset = load_split(str(tmp_path / "again.txt"), missing_image="keep")
    assert dataset.known == f"{name}, test"


def test_strict_decoding_does_not_hide_a_published_set(shared_data: Path, tmp_path: Path) -> None:
    strict = load_split(str(shared_data / "twitter2015" / "test.txt"), missing_image="keep", decode="strict")
    assert strict.known == "Twitter-2015 (original labels), test"
    write_jsonl(tmp_path / "strict.jsonl", strict.examples)
    again = load_split(str(tmp_path / "strict.jsonl"), missing_image="keep")
    assert again.known == "Twitter-2015 (original labels), test, strict"


def test_fmnerg_with_the_boxes_of_gmner(shared_data: Path) -> None:
    data = f"fmnerg:{shared_data / 'fmnerg' / 'test.txt'}"
    dataset = load_split(data, missing_image="keep", xml=shared_data / "gmner" / "xml")
    assert dataset.known == "FMNERG (fine labels, GMNER boxes), test"
    assert sum(bool(entity.boxes) for example in dataset.examples for entity in example.gold) == 1049
