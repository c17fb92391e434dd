"""Checks of a run before torch; that they do come before it, `tests/cli/test_lazy_imports.py` shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from runs import config_of

from instruct_mner.errors import ConfigError, DataError, MnerError, ModelError
from instruct_mner.files import exclusive
from instruct_mner.training.config import load_config
from instruct_mner.training.precheck import precheck
from instruct_mner.training.trainable import labels_of


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"labels": ["PER"]}, DataError, "outside the label set"),
        (
            {"revision": "abc"},
            ConfigError,
            "revision 'abc' has no effect on starter, which comes with a fixed",
        ),
        ({"prompt": "nowhere"}, ConfigError, "no prompt template"),
        ({"data": {"train": "nowhere.jsonl"}}, DataError, "no such file"),
        ({"augmentation": {"rename_labels": 1.0, "label_names": {"XYZ": ["z"]}}}, ConfigError, "XYZ"),
    ],
)
def test_what_does_not_fit_is_told(
    changes: dict[str, Any], error: type[MnerError], message: str, tmp_path: Path
) -> None:
    config = load_config(config_of(Path("starter"), tmp_path, **changes))
    with pytest.raises(error, match=message):
        precheck(config)
    assert not (tmp_path / "run").exists()


def test_the_run_folder_is_looked_at_first(tmp_path: Path) -> None:
    config = load_config(config_of(Path("starter"), tmp_path))
    with exclusive(config.output), pytest.raises(ConfigError, match="is being written by another run"):
        precheck(config)
    sources = precheck(config)
    assert sources is not None
    assert sources.train.pictures_sha256 is not None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    with pytest.raises(ConfigError, match="not empty"):
        precheck(config)
    precheck(config, dry_run=True)


def test_gold_that_no_answer_can_say_is_refused(tmp_path: Path) -> None:
    """Posts in Chinese with all of their mentions, and posts whose mentions cut words in most places."""
    data = tmp_path / "posts.jsonl"

    def write(*posts: tuple[str, str]) -> None:
        rows = []
        for text, mention in posts:
            start = text.index(mention)
            entity = {"start": start, "end": start + len(mention), "text": mention, "label": "LOC"}
            rows.append(json.dumps({"id": text, "text": text, "entities": [entity]}) + "\n")
        data.write_text("".join(rows))

    write(
        ("中国国家主席访问美国", "中国"),
        ("昨日東京タワーに行った", "東京タワー"),
        ("สมชายไปเชียงใหม่", "เชียงใหม่"),
        ("김민수는 서울에서", "서울"),
    )
    config = load_config(config_of(Path("starter"), tmp_path, data={"train": str(data)}))
    assert precheck(config) is not None
    write(("Annabel left", "Anna"))
    with pytest.raises(DataError, match="1 of 1 gold mentions can be said by no answer"):
        precheck(config)


def _posts(path: Path, *labels: str | None, num_mentions: int = 1) -> str:
    """Write a post for each label; one without a label is not annotated."""
    rows: list[dict[str, Any]] = []
    for number, label in enumerate(labels):
        starts = range(0, 4 * num_mentions, 4)
        entities = [{"start": start, "end": start + 3, "text": "Ann", "label": label} for start in starts]
        row = {"id": f"{path.stem}-{number}", "text": "Ann " * num_mentions + str(number)}
        rows.append({**row, **({} if label is None else {"entities": entities})})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_dev_gold_that_no_answer_can_say_is_refused(tmp_path: Path) -> None:
    train, dev = _posts(tmp_path / "train.jsonl", "PER"), _posts(tmp_path / "dev.jsonl", "PER", "LOC", None)
    config = load_config(config_of(Path("starter"), tmp_path, data={"train": train, "dev": dev}, labels=["PER"]))
    with pytest.raises(DataError) as refused:
        precheck(config)
    message = str(refused.value)
    assert "dev.jsonl: 2 problem(s) in the dev data" in message
    assert "post 'dev-1' has label(s) outside the label set: LOC; add them to labels" in message
    assert "post 'dev-2' is not annotated" in message
    dev = _posts(tmp_path / "dev.jsonl", "PER", num_mentions=3)
    changes: dict[str, Any] = {"data": {"train": train, "dev": dev}, "answer": {"max_entities": 2}}
    with pytest.raises(DataError, match=r"post 'dev-0' has 3 entities; raise answer\.max_entities"):
        precheck(load_config(config_of(Path("starter"), tmp_path, **changes)))


def test_problems_of_train_and_dev_are_told_at_once(tmp_path: Path) -> None:
    data = {"train": _posts(tmp_path / "train.jsonl", "ORG"), "dev": _posts(tmp_path / "dev.jsonl", "LOC")}
    config = load_config(config_of(Path("starter"), tmp_path, data=data, labels=["PER"]))
    with pytest.raises(DataError, match=r"(?s)train\.jsonl: 1 problem.*ORG.*dev\.jsonl: 1 problem.*LOC"):
        precheck(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"alignment": {"generative": {}, "cross_view": {}}},
            r"generative, cross_view .* pictures, of which none is shown",
        ),
        (
            {"alignment": {"cross_view": {"teacher": "context"}}, "context": True},
            "captions, tags or OCR .* none is shown",
        ),
        ({"answer": {"grounded": True}}, "answer.grounded asks for boxes on pictures, and no post has one"),
    ],
)
def test_what_is_learned_from_pictures_needs_posts_that_have_some(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    data = {"train": _posts(tmp_path / "train.jsonl", "PER"), "dev": _posts(tmp_path / "dev.jsonl", "PER")}
    config = load_config(config_of(Path("starter"), tmp_path, data=data, **changes))
    with pytest.raises(DataError, match=rf"train\.jsonl: .*{message}"):
        precheck(config)


def test_boxes_of_dev_need_not_be_annotated(tmp_path: Path) -> None:
    """Their score is then that of spans alone."""
    data = {"train": _posts(tmp_path / "train.jsonl", "PER"), "dev": _posts(tmp_path / "dev.jsonl", "PER")}
    for path in map(Path, data.values()):
        rows = [json.loads(line) | {"images": ["a.png"]} for line in path.read_text().splitlines()]
        for row in rows if path.stem == "train" else ():
            row["entities"][0]["boxes"] = []
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    config = load_config(config_of(Path("starter"), tmp_path, data=data, answer={"grounded": True}))
    assert precheck(config) is not None


def test_labels_that_are_left_out_are_those_of_train_and_dev(tmp_path: Path) -> None:
    data = {"train": _posts(tmp_path / "train.jsonl", "PER"), "dev": _posts(tmp_path / "dev.jsonl", "PER", "LOC")}
    sources = precheck(load_config(config_of(Path("starter"), tmp_path, data=data)))
    assert sources is not None
    assert labels_of(sources.train, sources.dev).names == ("LOC", "PER")
    [note] = [line for line in sources.describe() if "stand in no post" in line]
    assert note.endswith("dev.jsonl: types, with their mentions, that stand in no post of "
                         f"{tmp_path / 'train.jsonl'}: LOC (1)")  # fmt: skip


def test_posts_without_any_entity_are_told_where_labels_are_given(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"id": "1", "text": "Ann left", "entities": []}\n')
    sources = precheck(load_config(config_of(Path("starter"), tmp_path, data={"train": str(path)}, labels=["PER"])))
    assert sources is not None
    expected = f"note      {path}: no post has an entity, so that answers without any are all that is learned"
    assert expected in sources.describe()


def test_a_model_that_is_not_there_is_told_before_the_data_are_read(tmp_path: Path) -> None:
    config = load_config(config_of(Path("nobody/has-this-model"), tmp_path), ["data.train=nowhere.jsonl"])
    with pytest.raises(ModelError, match="nobody/has-this-model cannot be loaded"):
        precheck(config)


def test_of_a_model_whose_config_cannot_be_read_the_data_wait_for_it(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{")
    assert precheck(load_config(config_of(tmp_path / "model", tmp_path))) is None
