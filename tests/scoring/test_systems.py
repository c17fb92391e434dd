"""Several systems: each pair as two alone, p-values after Holm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import exit_code
from hypothesis import given
from hypothesis import strategies as st
from scoring_cases import GOLD, SAID, STAMP, as_perfect, report_of

from instruct_mner.scoring.systems import evaluate_systems, holm


def test_holm_by_hand() -> None:
    # The smallest times 3, the next times 2, the largest times 1, and never less than the one before.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_the_value_and_bonferroni_and_keeps_the_order(values) -> None:
    adjusted = holm(values)
    for value, found in zip(values, adjusted, strict=True):
        assert value <= found + 1e-12
        assert found <= min(1.0, len(values) * value) + 1e-12
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=6))
def test_adjusted_values_are_in_the_same_order_and_no_smaller(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    assert [adjusted[index] for index in order] == sorted(adjusted)


def test_pairs_are_those_of_two_systems_alone() -> None:
    systems = [("a.jsonl", SAID), ("b.jsonl", as_perfect(GOLD)), ("c.jsonl", SAID)]
    result = evaluate_systems(STAMP, GOLD, systems, num_resamples=200)
    assert [(pair.first, pair.second) for pair in result.pairs if pair.score == "micro"] == [
        ("a.jsonl", "b.jsonl"), ("a.jsonl", "c.jsonl"), ("b.jsonl", "c.jsonl"),
    ]  # fmt: skip
    alone = report_of(compared=as_perfect(GOLD))
    assert result.pairs[0].difference == alone.comparison.differences["micro"]
    assert result.pairs[1].difference.difference == 0
    assert all(pair.adjusted_p_value >= pair.difference.p_value for pair in result.pairs)
    described = json.loads(json.dumps(result.to_dict()))
    assert [each["predicted"] for each in described["systems"]] == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert described["gold"]["num_posts"] == 3


@pytest.mark.parametrize("flags", [["--json"], ["--explain"]])
def test_three_files_on_the_command_line(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = tmp_path / "gold.jsonl"
    row = {"id": "1", "text": "Anna left", "entities": [{"start": 0, "end": 4, "text": "Anna", "label": "PER"}]}
    gold.write_text(json.dumps(row) + "\n")
    files = [tmp_path / f"{name}.jsonl" for name in "abc"]
    for number, path in enumerate(files):
        path.write_text(json.dumps({**row, "entities": row["entities"] if number else []}) + "\n")
    arguments = ["evaluate", gold, *files, "--resamples", "50", *flags]
    code = exit_code(monkeypatch, *arguments)
    said = capsys.readouterr()
    assert not code, said.err
    if flags == ["--json"]:
        report = json.loads(said.out)
        assert [each["micro"]["f1"] for each in report["systems"]] == [0, 1, 1]
        assert [pair["difference"]["difference"] for pair in report["pairs"]] == [1, 1, 0]
    else:
        assert "all pairs, paired bootstrap; p after Holm over the 3 systems" in said.out
        assert "p Holm" in said.out
