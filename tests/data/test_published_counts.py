"""The counts of the published sets, which any reader must reproduce to the last entity."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from instruct_mner.data import load, read

# Sentences, entities by tolerant and by strict decoding; train, dev, test.
COUNTS = {
    "twitter2015": [(4000, 6352, 6166), (1000, 1594, 1541), (3257, 5207, 5072)],
    "twitter2015_repaired": [(4000, 6352, 6170), (1000, 1594, 1541), (3257, 5237, 5119)],
    "twitter2017": [(3373, 6049, 6049), (723, 1324, 1324), (723, 1351, 1351)],
    "gmner": [(7000, 11779, 11779), (1500, 2450, 2450), (1500, 2543, 2543)],
}
TEST_TYPES = {
    "twitter2015": {"PER": 1873, "LOC": 1720, "ORG": 860, "OTHER": 754},
    "twitter2015_repaired": {"PER": 1880, "LOC": 1750, "ORG": 859, "OTHER": 748},
    "twitter2017": {"PER": 621, "LOC": 178, "ORG": 395, "MISC": 157},
    "gmner": {"PER": 1104, "LOC": 404, "ORG": 638, "OTHER": 397},
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts(shared_data: Path, name: str) -> None:
    readings = read(str(shared_data / name))
    assert list(readings) == ["train", "dev", "test"]
    assert not [problem for reading in readings.values() for problem in reading.problems]
    found = [
        (len(r.dataset.examples), r.num_entities["tolerant"], r.num_entities["strict"])
        for r in readings.values()
    ]
    assert found == COUNTS[name]
    test = [entity for example in readings["test"].dataset.examples for entity in example.gold]
    assert Counter(entity.label for entity in test) == TEST_TYPES[name]


@pytest.mark.parametrize("name", COUNTS)
def test_strict_decoding_gives_its_counts(shared_data: Path, name: str) -> None:
    splits = load(str(shared_data / name), decode="strict", missing_image="keep").values()
    found = [sum(len(example.gold) for example in dataset.examples) for dataset in splits]
    assert found == [strict for _, _, strict in COUNTS[name]]


def test_groundable_mentions(shared_data: Path) -> None:
    splits = load(str(shared_data / "gmner"), missing_image="keep").values()
    entities = [[entity for example in dataset.examples for entity in example.gold] for dataset in splits]
    assert all(entity.boxes is not None for split in entities for entity in split)
    assert [sum(bool(entity.boxes) for entity in split) for split in entities] == [4736, 991, 1049]
    assert max(len(entity.boxes or ()) for split in entities for entity in split) == 22
