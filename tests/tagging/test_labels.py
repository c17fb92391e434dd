"""Labels as the command line takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.errors import ConfigError
from instruct_mner.tagging.labels import parse_labels

NAMES = st.lists(st.text("ABCDEFXYZ", min_size=1, max_size=8), min_size=2, max_size=6, unique=True)


@given(NAMES, st.sampled_from([",", ", ", " ,"]))
def test_names_joined_with_commas(names: list[str], comma: str) -> None:
    assert parse_labels(comma.join(names)).names == tuple(names)


def test_files_of_names_and_of_definitions(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("[PER, LOC]\n")
    assert parse_labels(str(tmp_path / "list.yaml")).names == ("PER", "LOC")
    (tmp_path / "defined").write_text("PER: a person\nLOC:\n")  # known as a file by being there
    labels = parse_labels(str(tmp_path / "defined"))
    assert [(label.name, label.definition) for label in labels.labels] == [("PER", "a person"), ("LOC", None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere.yaml", "--labels nowhere.yaml: there is no such file"),
        ("PER,PER", "--labels PER,PER"),
        (",", "--labels ,"),
    ],
)
def test_mistakes_name_the_flag(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_labels(text)
