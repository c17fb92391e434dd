from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.data.cmner import read as read_cmner
from instruct_mner.data.dataset import ReadOptions
from instruct_mner.data.formats import find_files
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split, read

TEXT = "WID:Laxn\r\n雪\tB-ORG\r\n佛\tI-ORG\r\n兰\tI-ORG\r\nE\tO\r\nV\tO\r\n\r\nWID:Lb\r\n#\tO\r\n体\tO"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "weibo"
    (path / "images").mkdir(parents=True)
    (path / "test.txt").write_bytes(TEXT.encode())
    for name in ("Laxn_2.jpg", "Laxn_1.jpg", "Laxn_10.png", "Lax_1.jpg", "notes.txt"):
        (path / "images" / name).touch()
    return path


def test_characters_are_joined_with_nothing_and_pictures_listed(folder: Path) -> None:
    assert find_files(str(folder))[0] == "cmner"
    dataset = load_split(str(folder))
    first, last = dataset.examples
    assert (dataset.format, dataset.segmentation) == ("cmner", "characters")
    assert (first.id, first.text, last.text) == ("Laxn", "雪佛兰EV", "#体")
    assert [(entity.start, entity.end, entity.text, entity.label) for entity in first.gold] == [(0, 3, "雪佛兰", "ORG")]
    assert (first.images, last.images) == (("Laxn_1.jpg", "Laxn_10.png", "Laxn_2.jpg"), ())
    assert [path.name for path in dataset.picture_paths(first)] == list(first.images)


def test_without_a_folder_of_pictures_there_are_none(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "test.txt"
    alone.parent.mkdir()
    alone.write_bytes(TEXT.encode())
    dataset = load_split(str(alone))
    assert [example.images for example in dataset.examples] == [(), ()]
    assert load_split(str(alone), images=folder / "images").examples[0].images


def test_the_segmentation_survives_conversion(folder: Path, tmp_path: Path) -> None:
    dataset = load_split(str(folder))
    write_jsonl(tmp_path / "out.jsonl", [example.without_images() for example in dataset.examples])
    again = load_split(str(tmp_path / "out.jsonl"))
    assert again.segmentation == "characters"
    assert [example.text for example in again.examples] == [example.text for example in dataset.examples]


def test_pictures_belong_to_the_id_before_the_last_underscore(tmp_path: Path) -> None:
    pictures = tmp_path / "images"
    pictures.mkdir()
    for name in ("a_b_1.jpg", "a_2.JPEG", "a_b_1_3.png", "_4.jpg", "a.jpg", "a_b_5.txt"):
        (pictures / name).touch()
    (tmp_path / "dev.txt").write_text("WID:a_b\nx\tO\n\nWID:a\ny\tO\n")
    dataset = read_cmner(tmp_path / "dev.txt", ReadOptions()).dataset
    assert {post.id: post.images for post in dataset.examples} == {"a_b": ("a_b_1.jpg",), "a": ("a_2.JPEG",)}
    assert dataset.missing_images == ()


def test_strict_decoding_keeps_the_tolerant_posts_by_which_a_set_is_known(tmp_path: Path) -> None:
    path = tmp_path / "test.txt"
    path.write_text("WID:1\n雪\tI-ORG\n佛\tB-LOC\n")
    strict, tolerant = (read_cmner(path, ReadOptions(decode=how)) for how in ("strict", "tolerant"))
    assert strict.num_entities == tolerant.num_entities == {"tolerant": 2, "strict": 1}
    assert [entity.text for entity in strict.dataset.examples[0].gold] == ["佛"]
    assert strict.tolerant == tolerant.dataset.examples
    assert tolerant.tolerant is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("IMGID:1\n雪\tO\n", ["1: expected TOKEN<TAB>TAG, found 1 column(s)"]),
        ("WID:1\n雪\tO\n\n佛\tO\n", ["4: a post begins without an 'WID:<id>' line"]),
        ("WID:\n雪\tO\n", ["1: 'WID:' without an id"]),
        ("WID:1\n雪\tO\n\nWID:1\n佛\tO\n", ["4: id '1' stands already in line 1"]),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: str, found: list[str]) -> None:
    path = tmp_path / "test.txt"
    path.write_text(content)
    [reading] = read(f"cmner:{path}").values()
    said = [problem.removeprefix(f"{path}:") for problem in reading.problems]
    assert any(line.startswith(found[0]) for line in said)


def test_real_pictures(shared_data: Path) -> None:
    dataset = load_split(f"cmner:{shared_data / 'cmner' / 'train.txt'}")
    several = [len(example.images) for example in dataset.examples if example.images]
    assert (len(several), sum(several), max(several)) == (6, 25, 9)
