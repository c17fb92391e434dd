from __future__ import annotations

from pathlib import Path

import pytest
from command import exit_code
from published import published

from instruct_mner.data.loading import load

SETS = [
    "twitter2017",
    *(
        pytest.param(name, marks=pytest.mark.prove)
        for name in ("twitter2015", "twitter2015_repaired", "gmner", "fmnerg")
    ),
]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    return exit_code(monkeypatch, "convert", *arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "set"
    (path / "images").mkdir(parents=True)
    for split, number in (("train", 1), ("test", 2)):
        (path / f"{split}.txt").write_text(f"IMGID:{number}\n\u00a0\tO\nAnn\tB-PER\n")
        (path / "images" / f"{number}.png").touch()
    return path


def test_pictures_are_found_from_the_written_file(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "deep" / "train.jsonl"
    assert run(monkeypatch, folder, out, "--split", "train") == 0
    [before] = load(str(folder / "train.txt")).values()
    [after] = load(str(out)).values()
    [example] = after.examples
    assert example.images == ("../../set/images/1.png",)
    assert after.picture_paths(example)[0].samefile(folder / "images" / "1.png")
    assert example.model_copy(update={"images": ("1.png",)}) == before.examples[0]


def test_a_folder_takes_all_splits(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, folder, tmp_path / "out") == 0
    assert list(load(str(tmp_path / "out"))) == ["train", "test"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "train, test do not fit into one file"),
        (["--split", "tets"], "no split 'tets'; did you mean 'test'?; found: train, test"),
    ],
)
def test_what_is_not_clear_is_refused(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], reason: str,
) -> None:  # fmt: skip
    out = tmp_path / "out.jsonl"
    assert run(monkeypatch, folder, out, *arguments) == 2
    assert reason in capsys.readouterr().err
    assert not out.exists()


def test_missing_pictures(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "images" / "2.png").unlink()
    out = tmp_path / "out.jsonl"
    assert run(monkeypatch, folder / "test.txt", out) == 2
    assert not out.exists()
    assert run(monkeypatch, folder / "test.txt", out, "--missing-image", "text") == 0
    assert load(str(out))["out"].examples[0].images == ()


@pytest.mark.parametrize("name", SETS)
def test_published_sets_come_back_equal(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert run(monkeypatch, shared_data / name, tmp_path / name, "--missing-image", "keep") == 0
    before = published(shared_data / name)
    after = load(str(tmp_path / name), missing_image="keep")
    assert list(after) == list(before)
    for split, dataset in before.items():
        # Without a folder of pictures their names are kept, so the posts are equal to the last field.
        assert after[split].examples == dataset.examples


def test_captions(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("1.png :two men\n")
    assert run(monkeypatch, folder, tmp_path / "out", "--captions", captions) == 0
    train, test = load(str(tmp_path / "out")).values()
    assert train.examples[0].context is not None
    assert train.examples[0].context.caption == "two men"
    assert test.examples[0].context is None
    said = capsys.readouterr().err
    assert "set/train: 1 posts got a caption (0 had another), 0 have pictures without one, 0 have no picture" in said
    assert "set/test: 0 posts got a caption (0 had another), 1 have pictures without one" in said
