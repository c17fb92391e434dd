"""The table of an experiment as Markdown and CSV; its cells, for LaTeX too."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from instruct_mner.experiment.latex import latex as latex_table
from instruct_mner.experiment.published import PublishedScore
from instruct_mner.experiment.table import ArmRow, ExperimentTable
from instruct_mner.scoring.seeds import ArmScore


def markdown(table: ExperimentTable) -> str:
    """Return the table as Markdown."""
    head, *rows = _cells(table)
    lines = [f"# {table.title}", "", _row(head), _row(["---"] * len(head)), *map(_row, rows), ""]
    lines += [f"- {note}" for note in table.notes]
    return "\n".join(lines) + "\n"


def latex(table: ExperimentTable) -> str:
    """Return the table as a LaTeX table, with links below it."""
    return latex_table(table, list(_cells(table, with_links=False)))


def comma_separated(table: ExperimentTable) -> str:
    """Return the table as CSV: a line for each arm and score, published score, and missing run; shares in 0..1."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["system", "score", "runs", "mean", "deviation", "low", "high", "difference", "difference_low",
         "difference_high", "p_value", "adjusted_p_value", "values", "labels", "source", "stamp"]
    )  # fmt: skip
    for row in table.rows:
        for name in table.score_names:
            writer.writerow([row.arm.name, name, len(row.seeds), *_numbers(row.scores[name]), "", "", "measured"])
        writer.writerow([row.arm.name, "rejected", len(row.seeds), row.rejected, *[""] * 11, "measured"])
    for each in table.published:
        for name in table.score_names:
            value = table.published_value(each, name)
            if value is not None:
                cells = [each.system, name, "", round(value / 100, 6), *[""] * 9]
                writer.writerow([*cells, each.labels or "", each.link or "", each.stamp])
    for name in table.missing:
        writer.writerow([name, "run", 0, *[""] * 12, "not complete"])
    return file.getvalue()


def _numbers(score: ArmScore) -> list[object]:
    against = score.against_first
    numbers: list[object] = [score.mean, "" if score.deviation is None else score.deviation, score.low, score.high]
    numbers += (
        [""] * 5
        if against is None
        else [against.difference, against.low, against.high, against.p_value, against.adjusted_p_value]
    )
    return [*numbers, " ".join(f"{value:.6f}" for value in score.values)]


def _cells(table: ExperimentTable, *, with_links: bool = True) -> Iterator[list[str]]:
    main, *others = table.columns
    yield [
        "", "runs", table.title_of(main), "95 %", f"less {table.first}", "p", *map(table.title_of, others), "rejected",
    ]  # fmt: skip
    for row in table.rows:
        yield [row.arm.name, str(len(row.seeds)), *_main_cells(row.scores[main]), *_other_cells(row, others)]
    if table.not_visible_baseline is not None:
        yield [
            'perfect text, all "not visible"', "", f"{100 * table.not_visible_baseline:.2f}", *[""] * 3,
            *["100.00"] * len(others), "0.00",
        ]  # fmt: skip
    for each in table.published:
        values = [table.published_value(each, name) for name in (main, *others)]
        first, *rest = ["" if value is None else f"{value:.2f}" for value in values]
        yield [_name(each, with_link=with_links), "", first, "", "", "", *rest, ""]


def _main_cells(score: ArmScore) -> list[str]:
    against = score.against_first
    return [
        _spread(score),
        f"{100 * score.low:.2f} – {100 * score.high:.2f}",
        ""
        if against is None
        else f"{100 * against.difference:+.2f} ({100 * against.low:+.2f} – {100 * against.high:+.2f})",
        "" if against is None else f"{against.adjusted_p_value:.4f}",
    ]


def _other_cells(row: ArmRow, names: Sequence[str]) -> list[str]:
    return [*(_spread(row.scores[name]) for name in names), f"{100 * row.rejected:.2f}"]


def _spread(score: ArmScore) -> str:
    mean = f"{100 * score.mean:.2f}"
    return mean if score.deviation is None else f"{mean} ± {100 * score.deviation:.2f}"


def _name(row: PublishedScore, *, with_link: bool) -> str:
    labels = f", {row.labels} labels" if row.labels else ""
    return f"{row.system}{labels} [{row.stamp}]" + (f" {row.link}" if row.link and with_link else "")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
