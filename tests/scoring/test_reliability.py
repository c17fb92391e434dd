"""Table and plot of a calibration, of numbers worked by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from instruct_mner.errors import ConfigError
from instruct_mner.scoring.bootstrap import Interval
from instruct_mner.scoring.calibration import Estimate, Judged, Reliability, Scaling, measure
from instruct_mner.scoring.reliability import CalibrationReport, plot_reliability, render

# Confidence 0.5: one of two is right, as it should be. Confidence 0.9: none is, 0.9 too sure.
JUDGED = Judged(np.array([0, 0, 1, 1]), np.array([0.5, 0.5, 0.9, 0.9]), np.array([1.0, 0.0, 0.0, 0.0]), 2)


def report_of(folder: Path) -> CalibrationReport:
    measured = measure(JUDGED, num_resamples=50)
    after = Reliability(
        ece=Estimate(0.0125, Interval(0.001, 0.02, 0.004)),
        brier=measured.brier,
        confidence=measured.confidence,
        accuracy=measured.accuracy,
        mass=measured.mass,
    )
    return CalibrationReport(
        scaling=Scaling(temperature=1.23456, shift=-0.5),
        fitted_on="[red]set/dev",
        measured_on="[red]set/dev",
        num_posts=2,
        num_entities=4,
        num_right=1,
        before=measured,
        after=after,
        manifest=folder / "mner.json",
        plot=folder / "plots" / "reliability.png",
    )


def printed(report: CalibrationReport) -> str:
    file = io.StringIO()
    Console(file=file, width=80).print(render(report))
    return file.getvalue()


def test_json_holds_every_bin(tmp_path: Path) -> None:
    values = report_of(tmp_path).to_dict()
    # Half of the entities are right as often as they say, the other half is 0.9 off.
    assert values["before"]["ece"]["value"] == pytest.approx(0.45)
    assert values["before"]["brier"]["value"] == pytest.approx((0.25 + 0.25 + 0.81 + 0.81) / 4)
    assert values["before"]["bins"] == [
        {"confidence": 0.5, "accuracy": 0.5, "entities": 2},
        {"confidence": pytest.approx(0.9), "accuracy": 0.0, "entities": 2},
    ]
    assert values["after"]["ece"] == {"value": 0.0125, "low": 0.001, "high": 0.02}
    assert (values["temperature"], values["num_entities"], values["num_right"]) == (1.23456, 4, 1)
    assert values["manifest"] == str(tmp_path / "mner.json")


def test_the_table_says_both_sides_and_where_they_were_measured(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    text = printed(report)
    assert "confidences on [red]set/dev, on which it was fitted" in text
    [before] = [line for line in text.splitlines() if "before" in line]
    [after] = [line for line in text.splitlines() if "after" in line]
    assert "0.4500" in before
    assert "0.0125" in after
    assert "0.0010 … 0.0200" in after
    assert "temperature 1.2346, shift -0.5000, written to" in text
    assert "4 predicted entities of 2 posts, 1 right" in " ".join(text.split())
    other = printed(replace(report, measured_on="set/test"))
    assert "confidences on set/test, fitted on [red]set/dev" in other


def test_the_plot_is_a_picture_of_both_sides(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    plot_reliability(report)
    with Image.open(report.plot) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (1350, 675))
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # The lines between confidence and accuracy are red, and stand on both sides.
    red = (pixels[..., 0] > 180) & (pixels[..., 1] < 80) & (pixels[..., 2] < 80)
    assert red[:, :675].any()
    assert red[:, 675:].any()


def test_a_place_that_cannot_be_written_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "plots").write_text("a file")
    with pytest.raises(ConfigError, match="plots"):
        plot_reliability(report_of(tmp_path))
