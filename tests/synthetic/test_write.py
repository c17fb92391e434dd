"""Synthetic posts as they are written: files, what they were drawn from, and bounds."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError
from instruct_mner.synthetic import write
from instruct_mner.synthetic.posterior import posterior
from instruct_mner.synthetic.posts import posts
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.vocabulary import Split
from instruct_mner.synthetic.write import bounds, bounds_table, slices, synth, truth

NUM = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synth")
    synth(path, Synthesis(split="dev"), NUM, 3)
    return path


def test_a_split_is_read_back_with_its_pictures(folder: Path) -> None:
    dataset = load_split(str(folder / "dev.jsonl"))
    drawn = list(itertools.islice(posts(Synthesis(split="dev"), 3), NUM))
    assert [example.text for example in dataset.examples] == [post.text for post in drawn]
    assert [example.id for example in dataset.examples] == [f"dev-{number:06d}" for number in range(NUM)]
    for example in dataset.examples:
        [path] = dataset.picture_paths(example)
        with Image.open(path) as picture:
            assert picture.format == "PNG"
    assert "Everything is drawn from known distributions" in (folder / "README.md").read_text()


def test_the_truth_stands_beside_each_post(folder: Path) -> None:
    examples = load_split(str(folder / "dev.jsonl")).examples
    lines = (folder / "dev.truth.jsonl").read_text().splitlines()
    for example, line in zip(examples, lines, strict=True):
        values = json.loads(line)
        assert values["id"] == example.id
        assert [(each["start"], each["end"]) for each in values["mentions"]] == [(e.start, e.end) for e in example.gold]
        for mention, entity in zip(values["mentions"], example.gold, strict=True):
            for name in ("posterior", "posterior_text"):
                assert sum(mention[name].values()) == pytest.approx(1, abs=1e-5)
            assert mention["posterior"][entity.label] > 0
            # A picture that shows nothing of the post tells nothing of it.
            if not values["related"]:
                assert entity.boxes == ()


def test_truth_names_types_and_cells() -> None:
    post = next(post for post in posts(Synthesis(), 0) if post.mentions and post.objects)
    values = truth(post)
    names = [kind.name for kind in post.synthesis.domain.types]
    assert [each["type"] for each in values["objects"]] == [names[each.type] for each in post.objects]
    assert [each["cell"] for each in values["objects"]] == [each.cell for each in post.objects]
    shares = [list(each["posterior"].values()) for each in values["mentions"]]
    assert shares == [pytest.approx(list(row), abs=1e-6) for row in posterior(post)]


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    synth(tmp_path, Synthesis(split="dev"), NUM, 3)
    for path in folder.rglob("*"):
        if path.is_file():
            assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_a_split_that_is_there_is_kept_and_others_go_beside_it(folder: Path) -> None:
    before = (folder / "dev.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=r"dev\.jsonl, .* and 7 more exist; choose another name or remove them"):
        synth(folder, Synthesis(split="dev"), NUM, 0)
    assert (folder / "dev.jsonl").read_bytes() == before
    assert synth(folder, Synthesis(split="test"), 1, 0).path == folder / "test.jsonl"


def test_files_of_a_split_that_was_renamed_are_kept(tmp_path: Path) -> None:
    synth(tmp_path, Synthesis(split="dev"), 5, 3).path.rename(tmp_path / "mine.jsonl")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"dev\.truth\.jsonl, .*000001\.png and 3 more exist; choose another"):
        synth(tmp_path, Synthesis(split="dev"), 9, 0)
    (tmp_path / "dev.truth.jsonl").rename(tmp_path / "mine.truth.jsonl")
    with pytest.raises(ConfigError, match=r"000000\.png, .* and 2 more exist; choose another"):
        synth(tmp_path, Synthesis(split="dev"), 9, 0)
    assert sorted(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()) == sorted(before.values())


@pytest.mark.parametrize("before", [[], ["train"]])
def test_a_run_that_ends_early_leaves_what_was_there(
    before: list[Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    for split in before:
        synth(out, Synthesis(split=split), 2, 0)
    kept = sorted(path for path in tmp_path.rglob("*"))
    drawn: list[int] = []

    def ends_in_dev(made: object) -> list[tuple[str, int, float, float]]:
        drawn.append(1)
        if len(drawn) == 2 - len(before):
            raise KeyboardInterrupt
        return []

    monkeypatch.setattr(write, "bounds", ends_in_dev)
    flags = ["--split", "dev"] if before else []
    assert CliRunner().invoke(app, ["synth", str(out), "--num", "2", *flags]).exit_code == 130
    assert sorted(path for path in tmp_path.rglob("*")) == kept
    assert CliRunner().invoke(app, ["synth", str(out), "--num", "2", *flags]).exit_code == 0


def test_a_readme_of_other_things_is_kept(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ConfigError, match=r"README\.md exists; choose another name or remove it"):
        synth(tmp_path, Synthesis(split="dev"), 1, 0)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("README.md", "mine")]


def test_bounds_are_of_all_mentions_and_of_each_slice() -> None:
    made = list(itertools.islice(posts(Synthesis(), 5), 40))
    rows = {name: (count, seen, read) for name, count, seen, read in bounds(made)}
    assert set(rows) <= {"all", *slices()}
    assert rows["all"][0] == sum(len(post.mentions) for post in made)
    assert sum(count for name, (count, _, _) in rows.items() if name != "all") == rows["all"][0]
    for count, seen, read in rows.values():
        assert count > 0
        assert 0 < read <= 100
        assert 0 < seen <= 100
    assert rows["all"][1] > rows["all"][2]
    # Who sees a picture of something else knows no more than who reads.
    assert rows["unrelated picture"][1] <= rows["all"][1]
    nobody = [post for post in made if not post.mentions]
    assert bounds(nobody) == []


def test_the_table_says_percent_with_one_digit(tmp_path: Path) -> None:
    written = synth(tmp_path, Synthesis(), 4, 0)
    file = io.StringIO()
    Console(file=file, width=300).print(bounds_table(written))
    name, count, seen, read = written.bounds[0]
    [row] = [line for line in file.getvalue().splitlines() if f" {name} " in line]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [name, str(count), f"{seen:.1f}", f"{read:.1f}"]
