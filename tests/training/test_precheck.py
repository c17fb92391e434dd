"""Checks of a run before torch; that they do come before it, `tests/cli/test_lazy_imports.py` shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from runs import config_of

from instruct_mner.errors import ConfigError, DataError, MnerError
from instruct_mner.files import exclusive
from instruct_mner.training.config import load_config
from instruct_mner.training.precheck import precheck


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"labels": ["PER"]}, DataError, "outside the label set"),
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


def test_of_a_model_that_is_not_here_the_data_wait_for_it(tmp_path: Path) -> None:
    assert precheck(load_config(config_of(Path("nobody/has-this-model"), tmp_path))) is None
