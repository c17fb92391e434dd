"""Options of an import that have no effect."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from instruct_mner.data.hub_rows import HubColumns
from instruct_mner.data.importing.effects import refuse_without_effect
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError

COLUMN = ImportOptions(columns=("text=text",))
CHAT = ImportOptions(text_after="Text:")


@pytest.mark.parametrize(
    ("name", "content", "options", "reason"),
    [
        ("a.csv", "text\nAnn\n", CHAT, "--text-after has no effect on .*, which is read as columns; leave it out"),
        (
            "a.json",
            json.dumps([{"data": {"text": "Ann"}, "annotations": []}]),
            COLUMN,
            "--column .* read as label-studio",
        ),
        ("a.conll", "Ann\tB-PER\n", ImportOptions(offsets="tokens"), "--offsets .* read as conll"),
        ("a.conll", "Ann\tB-PER\n", COLUMN, "--column .* read as conll"),
        ("a.txt", "Ann left\n", COLUMN, "--column .* read as one post a line"),
    ],
)
def test_an_option_without_effect_is_refused(
    name: str, content: str, options: ImportOptions, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=reason):
        import_file(str(tmp_path / name), tmp_path / "out.jsonl", options)
    import_file(str(tmp_path / name), tmp_path / "out.jsonl", ImportOptions())


def test_each_format_has_its_own() -> None:
    refuse_without_effect("a", "conll", ImportOptions(columns=("tags=2",)))
    refuse_without_effect("a", "hub", ImportOptions(columns=("text=text",), offsets="tokens", label_names=("O",)))
    with pytest.raises(ConfigError, match="--layout has no effect on a, which is read as hub"):
        refuse_without_effect("a", "hub", ImportOptions(layout="coco"))


def test_data_sets_of_the_hub_are_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir()
    parquet.write_table(pa.table({"tokens": [["Ann"]], "ner_tags": [["B-PER"]]}), path)
    with pytest.raises(DataError, match=r"columns are 'tokens', 'ner_tags', of which .* name hub:\S+001\.parquet"):
        load_split(str(path))
    with pytest.raises(DataError, match=r"columns are 'tokens', 'ner_tags'"):
        import_file(str(path), None, ImportOptions())
    with pytest.raises(ConfigError, match=r"--column has no effect .* or name a data set of Hugging Face, hub:"):
        import_file(str(path), None, COLUMN)
    for folder in (tmp_path, path.parent):
        with pytest.raises(DataError, match=rf"no split found; .*, or as a data set of Hugging Face, hub:{folder}$"):
            import_file(str(folder), None, ImportOptions())


def test_tags_of_the_hub_that_are_numbers_are_named_by_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    path, names = tmp_path / "a.parquet", ImportOptions(label_names=("O", "B-PER"))
    parquet.write_table(pa.table({"tokens": [["Ann", "left"]], "ner_tags": [[1, 0]]}), path)
    with pytest.raises(ConfigError, match=r"or name a data set of Hugging Face, hub:"):
        import_file(str(path), tmp_path / "out.jsonl", names)
    with pytest.raises(DataError, match=r"label 1 is a number without a name; .*--label-names O,B-PER"):
        import_file(f"hub:{path}", tmp_path / "out.jsonl", ImportOptions())
    import_file(f"hub:{path}", tmp_path / "out.jsonl", names)
    [post] = load_split(str(tmp_path / "out.jsonl")).examples
    assert [(each.text, each.label) for each in post.gold] == [("Ann", "PER")]


def test_labels_are_named_once(tmp_path: Path) -> None:
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-PER"]))
    columns = HubColumns.of({"tokens": datasets.List(datasets.Value("string")), "tags": tags}, {}, ("O", "B-ORG"))
    assert columns.problems(["tokens", "tags"], "S") == [
        "S: it names its labels itself (ClassLabel); leave --label-names out"
    ]
