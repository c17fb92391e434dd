"""YAML files: what YAML would take in silence for something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.data.yaml_files import read_yaml
from instruct_mner.errors import ConfigError


def test_numbers_are_those_that_are_written(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("[010, -010, +08_0, 1_000, 0, 0x1F, 0b11, 1:30, 1:30.5, 010.5, .5, '010', &a 7, *a]")
    found = [10, -10, "+08_0", 1000, 0, 31, 3, "1:30", "1:30.5", 10.5, 0.5, "010", 7, 7]
    assert read_yaml(path) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "config.yaml:1: not YAML: an alias stands within its own anchor; mend the line"),
        ("b: 1\na: &a {x: {y: *a}}", "config.yaml:2: not YAML: an alias stands within its own anchor; mend the line"),
        ("a: &a {x: 1}\nb: {<<: *a, x: 2, x: 3}", "config.yaml:2: not YAML: 'x' is given twice; mend the line"),
    ],
)
def test_files_that_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_yaml(path)
    assert str(raised.value) == f"{tmp_path}/{message}"


@pytest.mark.parametrize("kind", ["[{0}]", "{{<<: [{0}]}}"])
def test_aliases_of_aliases_are_few(kind: str, tmp_path: Path) -> None:
    """Nine levels of nine are 400 million values."""
    path = tmp_path / "config.yaml"
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, 9):
        lines.append(f"a{level}: &a{level} " + kind.format(", ".join([f"*a{level - 1}"] * 9)))
    path.write_text("\n".join(lines[:3]))
    assert read_yaml(path)["a1"]
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"aliases repeat [\d,]+ values, more than 10,000"):
        read_yaml(path)
