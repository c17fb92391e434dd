from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.parquet import is_parquet
from instruct_mner.errors import ConfigError
from instruct_mner.models.locations import STARTER_FOLDER
from instruct_mner.models.manifest import Manifest
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.tagging.input import PostSource
from instruct_mner.tagging.output import check_output, fingerprint, write_predictions
from instruct_mner.tagging.run import _fingerprint
from instruct_mner.tagging.settings import TaggingSettings

POSTS = [Example(id=str(number), text=f"post {number}\u2028x") for number in range(7)]


class Killed(Exception):  # noqa: N818
    """Stands for a run that ends in the middle."""


def predicting(asked: list[str], dies_at: int | None = None):
    def predict(first):
        for number, example in enumerate(POSTS[first:]):
            if number == dies_at:
                raise Killed
            asked.append(example.id)
            yield Prediction(id=example.id, text=example.text)

    return predict


def test_flags_of_vllm_are_settings_of_a_run(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "posts.jsonl", POSTS)
    source = PostSource(data=str(tmp_path / "posts.jsonl"))

    def stamp(*flags: str) -> str:
        settings = TaggingSettings(model="starter", engine="vllm", vllm=flags)
        return _fingerprint(source, settings, Manifest.load(STARTER_FOLDER)[0], source.load(), None, ())

    assert stamp() == stamp()
    assert len({stamp(), stamp("--max-model-len=512"), stamp("--quantization=fp8")}) == 3


def read(path) -> list[str]:
    return [Prediction.model_validate_json(line).id for line in path.read_bytes().split(b"\n")[:-1]]


@given(st.lists(st.integers(0, 7), max_size=4), st.integers(0, 30))
def test_killed_runs_go_on_and_every_id_comes_once(deaths: list[int], torn: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.jsonl"
        asked: list[str] = []
        for death in deaths:
            try:
                list(write_predictions(predicting(asked, death), len(POSTS), output, "s"))
            except Killed:
                assert not output.exists()
                partial = output.with_name("out.jsonl.partial")
                if not partial.exists():
                    continue  # killed before the first prediction
                content = partial.read_bytes()
                if torn < len(content.rsplit(b"\n", 2)[-2]) and content.count(b"\n") > 1:
                    partial.write_bytes(content[: len(content) - torn])  # the last line was being written
            else:
                break
        if not output.exists():
            results = list(write_predictions(predicting(asked), len(POSTS), output, "s"))
            assert len(results) == len(POSTS)
        assert read(output) == [post.id for post in POSTS]
        assert not output.with_name("out.jsonl.partial").exists()


def test_what_was_done_is_not_done_again(tmp_path) -> None:
    asked: list[str] = []
    with pytest.raises(Killed):
        list(write_predictions(predicting(asked, 3), len(POSTS), tmp_path / "out", "s"))
    list(write_predictions(predicting(asked), len(POSTS), tmp_path / "out", "s"))
    assert asked == [post.id for post in POSTS]


@pytest.mark.parametrize(("death", "again"), [(2, ["0", "1", "2"]), (3, ["3", "4", "5"]), (5, ["3", "4", "5"])])
def test_the_window_of_the_kill_is_asked_again_as_a_whole(death, again, tmp_path) -> None:
    with pytest.raises(Killed):
        list(write_predictions(predicting([], death), len(POSTS), tmp_path / "out", "s", window=3))
    asked: list[str] = []
    list(write_predictions(predicting(asked), len(POSTS), tmp_path / "out", "s", window=3))
    assert asked[:3] == again
    assert read(tmp_path / "out") == [post.id for post in POSTS]


def test_a_run_of_other_settings_is_not_continued(tmp_path) -> None:
    with pytest.raises(Killed):
        list(write_predictions(predicting([], 3), len(POSTS), tmp_path / "out", fingerprint(model="a")))
    with pytest.raises(ConfigError, match="another model, input or setting"):
        list(write_predictions(predicting([]), len(POSTS), tmp_path / "out", fingerprint(model="b")))


def test_an_output_that_exists_is_kept(tmp_path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        list(write_predictions(predicting([]), len(POSTS), tmp_path / "out", "s"))
    assert (tmp_path / "out").read_text() == "mine"


def test_a_partial_file_with_rubbish_is_an_error(tmp_path) -> None:
    (tmp_path / "out.partial").write_text('{"settings": "s"}\nrubbish\n')
    with pytest.raises(ConfigError, match="no prediction"):
        list(write_predictions(predicting([]), len(POSTS), tmp_path / "out", "s"))


@pytest.mark.parametrize("name", ["out.csv", "out.txt", "out.json", "out.conll", "out.xlsx"])
def test_a_name_of_another_format_is_refused(name: str, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"written as JSONL \(\.jsonl\) or Parquet.*instruct-mner convert"):
        check_output(tmp_path / name)


def test_names_of_lines_and_tables(tmp_path) -> None:
    for name in ("out.jsonl", "out.JSONL", "out", "out.ndjson", "out.PARQUET"):
        check_output(tmp_path / name)
    assert is_parquet(tmp_path / "out.PARQUET")
    check_output(Path("/dev/null"))
