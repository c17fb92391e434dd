"""Data sets of Hugging Face ``datasets``, built here: nothing is fetched."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, DatasetDict, Features, List, Value
from PIL import Image

from instruct_mner.data.exporting.posts import of_dataset
from instruct_mner.data.exporting.run import export
from instruct_mner.data.exporting.targets import choose_target
from instruct_mner.data.hub import find_splits
from instruct_mner.data.loading import load, load_split, read
from instruct_mner.errors import ConfigError, DataError

TAGS = ["O", "B-PER", "I-PER"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder


def picture(color: str) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (6, 4), color).save(file, "JPEG")
    return {"bytes": file.getvalue(), "path": "x.jpg"}


def tagged(**columns: list[Any]) -> datasets.Dataset:
    features = {
        "id": Value("string"),
        "tokens": List(Value("string")),
        "ner_tags": List(ClassLabel(names=TAGS)),
        "image": datasets.Image(),
        "images": List(datasets.Image()),
    }
    return datasets.Dataset.from_dict(columns, features=Features({name: features[name] for name in columns}))


def test_tokens_tags_and_an_image_from_save_to_disk(tmp_path: Path, cache: Path) -> None:
    columns: dict[str, list[Any]] = {
        "tokens": [["Ann", "Lee"], ["hm"]],
        "ner_tags": [[1, 2], None],
        "image": [picture("red"), None],
    }
    split = tagged(**columns)
    DatasetDict(train=split, validation=split, extra=split).save_to_disk(str(tmp_path / "set"))
    splits = load(f"hub:{tmp_path / 'set'}")
    assert list(splits) == ["train", "dev", "extra"]
    dataset = splits["train"]
    first, second = dataset.examples
    assert (dataset.name, dataset.format, len(dataset.sha256)) == ("set/train", "hub", 64)
    assert (first.text, first.tokens) == ("Ann Lee", ("Ann", "Lee"))
    assert [(entity.start, entity.end, entity.label, entity.boxes) for entity in first.gold] == [(0, 7, "PER", None)]
    assert (second.entities, second.images) == (None, ())
    [path] = dataset.picture_paths(first)
    assert path.is_relative_to(cache)
    assert path.read_bytes() == columns["image"][0]["bytes"]
    assert path.stem not in {"x", ""}
    assert not list(path.parent.glob(".*"))


def test_one_split_is_named_behind_a_hash_sign(tmp_path: Path) -> None:
    split = tagged(tokens=[["a"]], ner_tags=[[0]])
    DatasetDict(train=split, validation=split).save_to_disk(str(tmp_path / "set"))
    assert load_split(f"hub:{tmp_path / 'set'}#validation").name == "set/dev"
    assert load_split(f"hub:{tmp_path / 'set'}#dev").name == "set/dev"
    with pytest.raises(DataError, match=r"there is no split 'tset'; found: train, dev"):
        load_split(f"hub:{tmp_path / 'set'}#tset")
    with pytest.raises(ConfigError, match=r"several splits; name one of them: hub:.*#train, hub:.*#validation"):
        load_split(f"hub:{tmp_path / 'set'}")


@pytest.mark.parametrize(
    ("own", "names"),
    [
        (["test", "valid", "train"], {"train": "train", "dev": "valid", "test": "test"}),
        (["extra", "val"], {"dev": "val", "extra": "extra"}),
        # Both would be dev: neither is lost.
        (["validation", "dev"], {"dev": "dev", "validation": "validation"}),
        (["val", "valid", "train"], {"train": "train", "dev": "val", "valid": "valid"}),
    ],
)
def test_splits_stand_in_order_and_none_is_lost(tmp_path: Path, own: list[str], names: dict[str, str]) -> None:
    folder = tmp_path / "set"
    DatasetDict({name: tagged(tokens=[[name]], ner_tags=[[0]]) for name in own}).save_to_disk(str(folder))
    splits = find_splits(folder)
    assert list(splits) == list(names)
    assert splits == {split: Path(f"{folder}#{name}") for split, name in names.items()}
    for split, name in names.items():
        assert find_splits(Path(f"{folder}#{split}")) == find_splits(Path(f"{folder}#{name}")) == {split: splits[split]}
        assert load_split(f"hub:{folder}#{split}").examples[0].text == name


def test_entities_with_offsets_from_parquet(tmp_path: Path) -> None:
    entity = {"start": 0, "end": 3, "label": 1, "boxes": [[1.0, 2.0, 3.0, 4.0]]}
    label = ClassLabel(names=["LOC", "PER"])
    marked = {"start": Value("int32"), "end": Value("int32"), "label": label, "boxes": List(List(Value("float32")))}
    features = Features(
        {"id": Value("int64"), "text": Value("string"), "entities": [marked], "images": List(datasets.Image())}
    )
    rows = {
        "id": [7, 8],
        "text": ["Ann met Ann", "b"],
        "entities": [[entity, {"start": 8, "end": 11, "label": 1, "boxes": []}], []],
        "images": [[picture("red"), picture("blue")], []],
    }
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "set" / "test.parquet"))
    for data in (f"hub:{tmp_path / 'set'}", f"hub:{tmp_path / 'set' / 'test.parquet'}"):
        [dataset] = load(data).values()
        first, second = dataset.examples
        assert (first.id, second.id, second.gold, len(first.images)) == ("7", "8", (), 2)
        assert [(e.text, e.label, e.boxes and e.boxes[0].box) for e in first.gold] == [
            ("Ann", "PER", (1, 2, 3, 4)),
            ("Ann", "PER", ()),
        ]


def test_imagefolder_with_metadata(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "train"
    folder.mkdir(parents=True)
    rows = []
    for name, color in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (5, 5), color).save(folder / name)
        rows.append({"file_name": name, "text": f"Ann {color}", "entities": [{"start": 0, "end": 3, "type": "X"}]})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    [dataset] = load(f"hub:{tmp_path / 'set'}").values()
    assert [example.text for example in dataset.examples] == ["Ann red", "Ann blue"]
    [path] = dataset.picture_paths(dataset.examples[0])
    assert path.read_bytes() == (folder / "a.png").read_bytes()
    assert path.suffix == ".png"


def test_names_of_files_are_looked_for_in_the_folder(tmp_path: Path) -> None:
    rows = {"text": ["a"], "image": ["pictures/a.jpg"]}
    datasets.Dataset.from_dict(rows).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(DataError, match=r"1 of 1 pictures are missing \(pictures/a\.jpg\): not in .*set"):
        load_split(f"hub:{tmp_path / 'set'}")
    (tmp_path / "set" / "pictures").mkdir()
    (tmp_path / "set" / "pictures" / "a.jpg").touch()
    assert load_split(f"hub:{tmp_path / 'set'}").examples[0].images == ("pictures/a.jpg",)


def test_both_decodings_are_counted(tmp_path: Path) -> None:
    tagged(tokens=[["a", "b"]], ner_tags=[[0, 2]]).save_to_disk(str(tmp_path / "set"))
    [reading] = read(f"hub:{tmp_path / 'set'}", decode="strict").values()
    assert reading.num_entities == {"tolerant": 1, "strict": 0}
    assert reading.dataset.examples[0].gold == ()


def test_ids_are_made_from_the_text_and_the_row(tmp_path: Path) -> None:
    tagged(tokens=[["a"], ["a"]], ner_tags=[[0], [0]]).save_to_disk(str(tmp_path / "one"))
    tagged(tokens=[["b"], ["a"]], ner_tags=[[0], [0]]).save_to_disk(str(tmp_path / "two"))
    one, two = ([post.id for post in load_split(f"hub:{tmp_path / name}").examples] for name in ("one", "two"))
    assert len({*one, *two}) == 3
    assert one[1] == two[1]


def test_another_content_has_another_hash(tmp_path: Path) -> None:
    hashes = set()
    for name, color, tag in (("a", "red", 0), ("b", "blue", 0), ("c", "red", 1)):
        tagged(tokens=[["a"]], ner_tags=[[tag]], image=[picture(color)]).save_to_disk(str(tmp_path / name))
        dataset = load_split(f"hub:{tmp_path / name}")
        hashes.add(dataset.sha256)
        assert load_split(f"hub:{tmp_path / name}", decode="strict").sha256 == dataset.sha256
    assert len(hashes) == 3


def test_it_converts_to_jsonl(tmp_path: Path) -> None:
    tagged(tokens=[["Ann"]], ner_tags=[[1]], image=[picture("red")]).save_to_disk(str(tmp_path / "set"))
    dataset = load_split(f"hub:{tmp_path / 'set'}")
    out = tmp_path / "out.jsonl"
    export(of_dataset(dataset, tmp_path), out, choose_target(out, None))
    again = load_split(str(tmp_path / "out.jsonl"))
    assert again.picture_paths(again.examples[0])[0].samefile(dataset.picture_paths(dataset.examples[0])[0])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({"sentence_text": ["a"]}, "no column is named text, sentence, tokens or words; found: sentence_text"),
        ({"text": ["a"], "ner_tags": [["O"]]}, "holds tags, but there are no tokens or words beside it"),
        ({"tokens": [["a"]], "ner_tags": [[1]]}, "row 0: label 1 is a number without a name"),
        ({"tokens": [["a"]], "ner_tags": [["PER"]]}, "row 0: tag 'PER' is none of O, B-<type>, I-<type>"),
        ({"tokens": [["a", "b"]], "ner_tags": [["O"]]}, "row 0: the row has 2 tokens and 1 tags"),
        ({"text": ["a", None]}, "row 1: the row has no text"),
        ({"text": ["a", "b"], "id": ["1", "1"]}, "row 1: id '1' stands already in a row above"),
        (
            {"text": ["ab"], "entities": [[{"start": 1, "end": 9, "label": "X"}]]},
            "fit neither characters nor tokens; for example 1 to 9",
        ),
        ({"text": ["ab"], "entities": [[{"start": 0, "label": "X"}]]}, "row 0: entity .* needs start, end and label"),
    ],
)
def test_what_is_wrong_is_said_with_its_row(tmp_path: Path, rows: dict[str, list[Any]], reason: str) -> None:
    datasets.Dataset.from_dict(rows).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(DataError, match=reason):
        load(f"hub:{tmp_path / 'set'}")


def test_a_hidden_tag_is_not_the_last_one(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict(
        {"tokens": [["a"]], "ner_tags": [[-1]]},
        features=Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=TAGS))}),
    )
    rows.save_to_disk(str(tmp_path / "set"))
    with pytest.raises(DataError, match="label -1 is none of the 3 that are named"):
        load(f"hub:{tmp_path / 'set'}")


def test_what_is_not_there_is_said_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"hub:.*nowhere cannot be loaded as a folder or as a name on the hub"):
        load(f"hub:{tmp_path / 'nowhere'}")


def save(folder: Path, **columns: list[Any]) -> str:
    datasets.Dataset.from_dict(columns).save_to_disk(str(folder / "set"))
    return f"hub:{folder / 'set'}"


ANNA = ["Anna", "Bell", "flew", "to", "Oslo"]


@pytest.mark.parametrize(
    "entities",
    [
        [{"start": 0, "end": 2, "type": "per"}, {"start": 4, "end": 5, "type": "loc"}],
        [{"start": 0, "end": 1, "type": "per"}, {"start": 4, "end": 4, "type": "loc"}],
        [{"start": 0, "end": 9, "type": "per"}, {"start": 18, "end": 22, "type": "loc"}],
        [{"start": 0, "end": 8, "type": "per"}, {"start": 18, "end": 21, "type": "loc"}],
        [
            {"start": 0, "end": 1, "type": "per", "text": "Anna Bell"},
            {"start": 4, "end": 4, "type": "loc", "text": "Oslo"},
        ],
    ],
    ids=["tokens", "tokens-inclusive", "characters", "characters-inclusive", "surfaces"],
)
def test_the_unit_of_offsets_is_told(tmp_path: Path, entities: list[dict[str, Any]]) -> None:
    dataset = load_split(save(tmp_path, tokens=[ANNA], entities=[entities]))
    assert [(each.text, each.label) for each in dataset.examples[0].gold] == [("Anna Bell", "per"), ("Oslo", "loc")]


def test_offsets_that_may_be_two_things_are_refused(tmp_path: Path) -> None:
    entities = [{"start": 0, "end": 1, "type": "per"}]
    with pytest.raises(DataError, match=r"may be tokens or tokens-inclusive.*--offsets tokens"):
        load_split(save(tmp_path, tokens=[ANNA], entities=[entities]))


@pytest.mark.parametrize(
    "column",
    [
        "img_path",
        "image_id",
        "label",
        "ner",
        "spans",
        "objects",
        "bbox",
        "tweet_id",
        "picture",
        "imgUrl",
        "entity_labels",
    ],
)
def test_columns_that_look_like_more_are_a_question(tmp_path: Path, column: str) -> None:
    with pytest.raises(DataError, match=rf"column '{column}' looks like .*--column (\w+={column}.*)?meta={column}"):
        load_split(save(tmp_path, text=["a"], **{column: ["1"]}))


def test_other_columns_are_carried_along_and_named(tmp_path: Path) -> None:
    dataset = load_split(save(tmp_path, text=["a"], lang=["en"], likes=[3]))
    assert dataset.examples[0].meta == {"lang": "en", "likes": 3}
    assert dataset.notes == (f"hub:{tmp_path / 'set'}#train: carried along in 'meta': lang, likes",)


def test_a_string_is_no_list_of_tokens(tmp_path: Path) -> None:
    for column in ("tokens", "words"):
        with pytest.raises(DataError, match="holds a string, which is no list of tokens"):
            load_split(save(tmp_path / column, **{column: ["Ann left"]}))


def test_chunks_are_no_entities(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds tags of phrases"):
        load_split(save(tmp_path, tokens=[["Ann", "left"]], tags=[["B-NP", "B-VP"]]))


def test_tokens_that_are_not_those_of_the_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="token"):
        load_split(save(tmp_path, tokens=[["Ann"]], text=["Ann left"], ner_tags=[["B-PER"]]))


def test_chinese_tokens_are_joined_with_nothing(tmp_path: Path) -> None:
    rows = {"tokens": [list("张伟去北京2天")], "ner_tags": [["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O", "O"]]}
    [post] = load_split(save(tmp_path, **rows)).examples
    assert (post.text, [each.text for each in post.gold]) == ("张伟去北京2天", ["张伟", "北京"])


def test_the_tokens_of_all_rows_tell_how_those_of_each_are_joined(tmp_path: Path) -> None:
    dataset = load_split(save(tmp_path, tokens=[list("张伟去北京2天"), list("NBA赛"), list("OK")]))
    assert [post.text for post in dataset.examples] == ["张伟去北京2天", "NBA赛", "OK"]
    assert dataset.segmentation == "characters"
