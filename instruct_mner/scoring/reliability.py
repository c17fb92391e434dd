"""Table and reliability plot of a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from rich.console import Group
from rich.text import Text

from instruct_mner.files import check_place
from instruct_mner.scoring.calibration import NUM_BINS, Estimate, Reliability, Scaling
from instruct_mner.scoring.table import plain_table

_SOFTWARE = "instruct-mner calibrate"
PLOT_MARK = b"Software\0" + _SOFTWARE.encode()
"""Bytes of the PNG by which a plot is known as one."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import RenderableType


@dataclass(frozen=True)
class CalibrationReport:
    """Confidences before and after a calibration.

    Attributes:
        scaling: Fitted temperature and shift.
        fitted_on: Name of the posts that it was fitted on.
        measured_on: Name of the posts that the numbers are of.
        num_posts: Number of posts of the latter.
        num_entities: Predicted entities of the latter.
        num_right: Number of these that are right.
        before: Confidences as they were.
        after: Confidences as they are scaled.
        manifest: The file that holds the scaling now.
        plot: The picture of both.
    """

    scaling: Scaling
    fitted_on: str
    measured_on: str
    num_posts: int
    num_entities: int
    num_right: int
    before: Reliability
    after: Reliability
    manifest: Path
    plot: Path

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "temperature": self.scaling.temperature,
            "shift": self.scaling.shift,
            "fitted_on": self.fitted_on,
            "measured_on": self.measured_on,
            "num_posts": self.num_posts,
            "num_entities": self.num_entities,
            "num_right": self.num_right,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "manifest": str(self.manifest),
            "plot": str(self.plot),
        }


def render(report: CalibrationReport) -> RenderableType:
    """Return the report for a terminal."""
    same = report.measured_on == report.fitted_on
    where = f"{report.measured_on}, {'on which it was fitted' if same else f'fitted on {report.fitted_on}'}"
    table = plain_table(f"confidences on {where}")
    for column in ("ECE", "95 %", "Brier score", "95 %"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, reliability in (("before", report.before), ("after", report.after)):
        table.add_row(name, *_cells(reliability.ece), *_cells(reliability.brier))
    note = (
        f"temperature {report.scaling.temperature:.4f}, shift {report.scaling.shift:+.4f}, written to "
        f"{report.manifest}; {report.num_entities} predicted entities "
        f"of {report.num_posts} posts, {report.num_right} right; ECE over {NUM_BINS} bins; plot: {report.plot}"
    )
    return Group(table, Text(note))


def _cells(estimate: Estimate) -> tuple[str, str]:
    return f"{estimate.value:.4f}", f"{estimate.interval.low:.4f} … {estimate.interval.high:.4f}"


def plot_reliability(report: CalibrationReport) -> None:
    """Draw both sides as a PNG: the share that is right over the confidence, bin by bin.

    Raises:
        ConfigError: It cannot be written there.
    """
    check_place(report.plot)
    report.plot.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, report.before, "before")
    _draw(
        right, report.after, f"after, temperature {report.scaling.temperature:.2f}, shift {report.scaling.shift:+.2f}"
    )
    left.set_ylabel("share that is right")
    figure.suptitle(f"{report.num_entities} predicted entities of {report.measured_on}")
    figure.savefig(report.plot, dpi=150, format="png", metadata={"Software": _SOFTWARE})


def _draw(axes: Axes, reliability: Reliability, title: str) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    axes.plot(reliability.confidence, reliability.accuracy, color="tab:blue", marker="o")
    axes.vlines(reliability.confidence, reliability.confidence, reliability.accuracy, color="tab:red", linewidth=1)
    axes.set(title=f"{title}: ECE {reliability.ece.value:.3f}", xlabel="confidence", xlim=(0, 1), ylim=(0, 1))
