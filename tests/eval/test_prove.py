"""`make prove`: its result file has an entry for each gate, and a gate that breaks off or is skipped has not passed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval import prove
from eval.gates.common import Result, SkippedGateError
from eval.gates.registry import GATES


def test_the_result_file_has_exactly_the_gates() -> None:
    entries = json.loads(prove.OUTPUT.read_text(encoding="utf-8"))
    assert [entry["gate"] for entry in entries] == list(GATES)
    assert all(entry["bound"] for entry in entries)


def _passes() -> Result:
    """Passes."""
    return Result(value=1, bound="1", passed=True)


def _fails() -> Result:
    """Fails."""
    return Result(value=0, bound="1", passed=False)


def _breaks_off() -> Result:
    """Breaks off."""
    raise ZeroDivisionError("nothing to divide")


def _is_skipped() -> Result:
    """Has no data."""
    raise SkippedGateError("no data")


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The result file of four made-up gates, with an entry of one that is gone."""
    gates = {"passes": _passes, "fails": _fails, "breaks off": _breaks_off, "is skipped": _is_skipped}
    monkeypatch.setattr(prove, "GATES", gates)
    path = tmp_path / "gates.json"
    monkeypatch.setattr(prove, "OUTPUT", path)
    monkeypatch.setattr(prove, "_commit", lambda: "abc")
    path.write_text(json.dumps([{"gate": "gone", "passed": True}]))
    return path


def _passed(path: Path) -> dict[str, bool]:
    return {entry["gate"]: entry["passed"] for entry in json.loads(path.read_text(encoding="utf-8"))}


def test_a_gate_that_fails_or_breaks_off_makes_the_exit_code_1(output: Path) -> None:
    assert prove.main(["breaks off"]) == 1
    assert prove.main(["fails"]) == 1
    assert _passed(output) == {"fails": False, "breaks off": False}


def test_single_gates_leave_the_entries_of_others_and_a_skipped_one_is_no_failure(output: Path) -> None:
    assert prove.main(["is skipped"]) == 0
    assert prove.main(["passes"]) == 0
    assert _passed(output) == {"passes": True, "is skipped": False}
    assert json.loads(output.read_text(encoding="utf-8"))[1]["value"] == "skipped: no data"


def test_all_gates_run_in_their_order(output: Path) -> None:
    assert prove.main([]) == 1
    assert list(_passed(output)) == ["passes", "fails", "breaks off", "is skipped"]


def test_an_unknown_gate_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        prove.main(["no-such-gate"])
    assert "no-such-gate" in capsys.readouterr().err
