"""The counts of the published sets, which any reader must reproduce to the last entity."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from published import published

from eval.gates.published_counts import SPLITS, TEST_TYPES
from instruct_mner.data.loading import load, read
from instruct_mner.schema.choices import LabelColumn

OFTEN = ("twitter2017", "gmner", "fmnerg")


# A set of each format in every run, the others among the proofs.
@pytest.mark.parametrize(
    "name", [each if each in OFTEN else pytest.param(each, marks=pytest.mark.prove) for each in SPLITS]
)
def test_counts(shared_data: Path, name: str) -> None:
    readings = read(str(shared_data / name))
    assert list(readings) == ["train", "dev", "test"]
    assert not [problem for reading in readings.values() for problem in reading.problems]
    found = [(len(r.dataset.examples), r.num_entities["tolerant"], r.num_entities["strict"]) for r in readings.values()]
    assert found == SPLITS[name]
    test = [entity for example in readings["test"].dataset.examples for entity in example.gold]
    assert name not in TEST_TYPES or Counter(entity.label for entity in test) == TEST_TYPES[name]


# That whose two decodings differ most in every run, the others among the proofs.
@pytest.mark.parametrize(
    "name", ["twitter2015", *(pytest.param(name, marks=pytest.mark.prove) for name in SPLITS if name != "twitter2015")]
)
def test_strict_decoding_gives_its_counts(shared_data: Path, name: str) -> None:
    splits = load(str(shared_data / name), decode="strict", missing_image="keep").values()
    found = [sum(len(example.gold) for example in dataset.examples) for dataset in splits]
    assert found == [strict for _, _, strict in SPLITS[name]]


@pytest.mark.parametrize(("column", "num_labels"), [("coarse", 8), ("fine", 51)])
def test_fmnerg_has_the_tokens_and_spans_of_gmner(shared_data: Path, column: LabelColumn, num_labels: int) -> None:
    gmner, fmnerg = published(shared_data / "gmner"), published(shared_data / "fmnerg", column)
    for split, dataset in fmnerg.items():
        for ours, theirs in zip(dataset.examples, gmner[split].examples, strict=True):
            assert (ours.id, ours.tokens) == (theirs.id, theirs.tokens)
            assert [(e.start, e.end) for e in ours.gold] == [(e.start, e.end) for e in theirs.gold]
        assert len({entity.label for example in dataset.examples for entity in example.gold}) == num_labels


def test_groundable_mentions(shared_data: Path) -> None:
    splits = published(shared_data / "gmner").values()
    entities = [[entity for example in dataset.examples for entity in example.gold] for dataset in splits]
    assert all(entity.boxes is not None for split in entities for entity in split)
    assert [sum(bool(entity.boxes) for entity in split) for split in entities] == [4736, 991, 1049]
    assert max(len(entity.boxes or ()) for split in entities for entity in split) == 22


def test_odd_tokens_of_the_real_files_survive(shared_data: Path) -> None:
    names = ("twitter2015", "twitter2017", "gmner")
    splits = [split for name in names for split in published(shared_data / name).values()]
    posts = [post for split in splits for post in split.examples]
    tokens = {token for post in posts for token in post.tokens or ()}
    assert {"\u00a0", "&amp", ";", "\ufe0f", "\u200d"} <= tokens
    assert any("\ufffd" in token for token in tokens)
    assert any("#" in entity.text for post in posts for entity in post.gold)
    assert all(" ".join(post.tokens or ()) == post.text for post in posts)
