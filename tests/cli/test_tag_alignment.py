"""Tagging that uses what alignment objectives have learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from runs import QUIET, config_of
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.schema.records import Prediction
from instruct_mner.tagging.attention_maps import heated
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import finetune


def tag(*arguments: object) -> None:
    result = CliRunner().invoke(app, ["tag", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def tuned(tiny_models, tmp_path_factory) -> Path:
    """A run folder with a generator and with supervised attention."""
    folder = tmp_path_factory.mktemp("tuned")
    alignment = {"generative": {"width": 16, "grid": 2, "generated_share": 1.0}, "region_span_grounding": {}}
    path = config_of(tiny_models("idefics3"), folder, alignment=alignment, optimizer={"max_steps": 2})
    return finetune(load_config(path, ["data.dev=null"]), QUIET)


@pytest.mark.parametrize("given", ["run", "adapter"])
def test_generated_pictures_stand_in_for_none(given: str, tuned, tmp_path) -> None:
    data = make_posts(tmp_path / "posts")
    (tmp_path / "posts" / "0.png").unlink()  # whether a post has pictures makes no difference
    with data.open("a") as file:  # without anything to be seen
        file.write('{"id": "blank", "text": " \\n\\u0007 "}\n')
    folder = tuned if given == "run" else tuned / "adapter"
    tag(data, "--adapter", folder, "--image-source", "generated", "-o", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 7


def test_where_there_is_no_generator_it_says_so(tuned, tiny_models, tmp_path) -> None:
    data = make_posts(tmp_path / "posts")
    common = [data, "--image-source", "generated", "-o", tmp_path / "out.jsonl"]
    with pytest.raises(ModelError, match=r"needs a model tuned with alignment\.generative"):
        tag(*common, "--model", tiny_models("idefics3"), "--labels", "PER")
    endpoint = ["--endpoint", "http://127.0.0.1:9", "--model", "m", "--labels", "PER"]
    with pytest.raises(ConfigError, match="never seen; leave --endpoint out"):
        tag(*common, *endpoint)
    with pytest.raises(ConfigError, match="--attention shows the attention of a model in this process"):
        tag(data, *endpoint, "--attention", tmp_path / "drawn", "-o", tmp_path / "other.jsonl")
    # Before the model is loaded, of which there is none.
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot be written, .*file is a file"):
        tag(data, "--model", "nothing/there", "--labels", "PER", "--attention", tmp_path / "file", "-o", tmp_path / "o")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("which", ["tuned", "base"])
def test_every_mention_on_a_picture_is_drawn(which: str, tuned, tiny_models, tmp_path) -> None:
    data = make_posts(tmp_path / "posts")
    model = ["--adapter", tuned] if which == "tuned" else ["--model", tiny_models("gemma3"), "--labels", "PER,LOC"]
    for folder in ("drawn", "again"):
        tag(data, *model, "--attention", tmp_path / folder, "-o", tmp_path / f"{folder}.jsonl")
    for path in (tmp_path / "drawn").iterdir():  # the adapter has dropout, which is off
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    posts = {post.id: post for post in load_split(str(data)).examples}
    expected = sum(
        len(prediction.entities)
        for prediction in map(Prediction.model_validate_json, (tmp_path / "drawn.jsonl").read_text().split("\n")[:-1])
        if posts[prediction.id].images
    )
    assert expected
    assert len(list((tmp_path / "drawn").glob("post-*.png"))) == expected


def test_it_is_red_where_the_attention_is() -> None:
    cells = torch.tensor([[0, 0, 0.5, 1], [0.5, 0, 1, 1], [1, 1, 1, 1]])
    drawn = heated(Image.new("RGB", (10, 4), "white"), cells, torch.tensor([0.9, 0.1, 0.5]))
    left, right = np.asarray(drawn)[2, [2, 7]].astype(int).tolist()
    assert left[0] > left[1]
    assert left[0] - left[1] > right[0] - right[1] > 0
    assert heated(Image.new("RGB", (4, 4)), cells, torch.zeros(3)).size == (4, 4)
