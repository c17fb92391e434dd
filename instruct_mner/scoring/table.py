"""A report as a table for people: percent, with the standard error of each F1."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from instruct_mner.scoring.bootstrap import Measured
from instruct_mner.scoring.glossary import COMPARISON_TERMS, SCORE_TERMS, TRIPLE_TERMS, WIDTH, explain
from instruct_mner.scoring.report import Comparison, Report
from instruct_mner.scoring.systems import Systems
from instruct_mner.scoring.triples import IOU_THRESHOLD

# Least width of the first column, the names of types.
_NARROWEST_NAME = 12

TRIPLE_NAMES = {
    "gmner": "GMNER",
    "visible": "GMNER visible",
    "invisible": "GMNER not visible",
    "mner": "MNER",
    "eeg": "EEG",
    "grounding": "grounding accuracy",
}
_TRIPLES_NOTE = (
    "GMNER: span, type and region; MNER: span and type; EEG: span and region; grounding accuracy: right "
    f"regions among right spans. A region is right from IoU {IOU_THRESHOLD} with any gold box, or when both "
    "sides say not visible. All of these match by offset."
)


def plain_table(title: str) -> Table:
    """Return a table that fits 80 columns: lines between groups alone, and a first column that is folded.

    Args:
        title: Title, which is no markup.
    """
    table = Table(
        title=Text(title, overflow="fold"),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    table.add_column("", overflow="fold", min_width=_NARROWEST_NAME)
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _score_cells(name: str, measured: Measured) -> tuple[str, ...]:
    score, interval = measured.score, measured.interval
    return (
        name,
        _percent(score.precision),
        _percent(score.recall),
        f"{_percent(score.f1)} ± {_percent(interval.standard_error)}",
        f"{_percent(interval.low)} – {_percent(interval.high)}",
        str(score.correct),
        str(score.predicted),
        str(score.gold),
    )


def _add_triples(table: Table, triples: dict[str, Measured]) -> None:
    for part, measured in triples.items():
        if part == "grounding":
            # A share, not an F1: precision and recall would only repeat it.
            name, _, _, share, interval, correct, _, total = _score_cells(TRIPLE_NAMES[part], measured)
            table.add_row(name, "", "", share, interval, correct, "", total)
        else:
            table.add_row(*_score_cells(TRIPLE_NAMES[part], measured))


def _score_table(report: Report) -> Table:
    table = plain_table(report.predicted)
    for column in ("prec.", "recall", "F1 ± s.e.", "95 %", "right", "pred.", "gold"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_row(*_score_cells("micro", report.micro), style="bold", end_section=True)
    for label, measured in report.per_type.items():
        table.add_row(*_score_cells(label, measured))
    for name, mean in (("macro", report.macro), ("weighted", report.weighted)):
        table.add_row(name, _percent(mean.precision), _percent(mean.recall), _percent(mean.f1))
    table.add_section()
    table.add_row(*_score_cells("span only", report.span_only), end_section=True)
    if report.triples is not None:
        _add_triples(table, report.triples)
    return table


def _leaks(report: Report) -> list[Text]:
    """Above the scores, where it is not overlooked."""
    leaked = report.origin.leaked if report.origin is not None else ()
    return [Text("\n".join(f"LEAKED  {line}" for line in leaked), style="bold red")] if leaked else []


def _notes(report: Report) -> Iterator[str]:
    yield from report.notes
    yield from report.origin.describe() if report.origin is not None else ()
    rejected = report.rejected
    counts = ", ".join(
        f"{count} {name} ({_percent(rejected.rate(count))} %)" for name, count in rejected.counts().items()
    )
    yield f"rejected, among the false positives: {counts}, of {rejected.entities + rejected.total} predicted"
    yield report.entities_per_post.describe()
    if report.not_grounded is None:
        yield (
            f'baseline: the gold\'s own spans and types with "not visible" everywhere reach GMNER '
            f"{_percent(report.not_visible_baseline)}"
        )
        yield _TRIPLES_NOTE
    else:
        yield f"not grounded: {report.not_grounded}"


def _difference_name(name: str) -> str:
    group, _, rest = name.partition(".")
    if group == "triples":
        return TRIPLE_NAMES[rest]
    return rest or group.replace("_", " ")


def _difference_table(comparison: Comparison, first: str) -> Table:
    title = f"{comparison.report.predicted} less {first}, paired bootstrap"
    table = plain_table(title)
    for column in ("F1 difference", "95 %", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, difference in comparison.differences.items():
        table.add_row(
            _difference_name(name),
            f"{100 * difference.difference:+.2f}",
            f"{100 * difference.low:+.2f} … {100 * difference.high:+.2f}",
            f"{difference.p_value:.4f}",
        )
    return table


def _pair_table(systems: Systems) -> Table:
    table = plain_table(f"all pairs, paired bootstrap; p after Holm over the {len(systems.reports)} systems")
    for column in ("score", "F1 difference", "95 %", "p", "p Holm"):
        table.add_column(column, justify="right", no_wrap=True)
    for pair in systems.pairs:
        difference = pair.difference
        table.add_row(
            f"{pair.second} less {pair.first}",
            _difference_name(pair.score),
            f"{100 * difference.difference:+.2f}",
            f"{100 * difference.low:+.2f} … {100 * difference.high:+.2f}",
            f"{difference.p_value:.4f}",
            f"{pair.adjusted_p_value:.4f}",
        )
    return table


def _stamp(report: Report) -> Text:
    gold = report.gold
    name = gold.name if gold.known is None else f"{gold.name}: {gold.known}"
    return Text(
        f"gold {name}  sha256 {gold.sha256[:12]}\n{gold.num_posts} posts, decode {gold.decode}, "
        f"match {report.match}, {report.num_resamples} resamples of posts, seed {report.seed}"
    )


def render_systems(systems: Systems) -> RenderableType:
    """Return the reports of several systems for a terminal, and all pairs of them."""
    parts: list[RenderableType] = [_stamp(systems.reports[0])]
    for report in systems.reports:
        parts += [*_leaks(report), _score_table(report), Text("\n".join(_notes(report)))]
    return Group(*parts, _pair_table(systems))


def render(report: Report) -> RenderableType:
    """Return the report for a terminal: what was scored, micro F1, types, span-only, triples, comparison."""
    parts: list[RenderableType] = [
        _stamp(report),
        *_leaks(report),
        _score_table(report),
        Text("\n".join(_notes(report))),
    ]
    if report.comparison is not None:
        other = report.comparison.report
        parts += [*_leaks(other), _score_table(other), Text("\n".join(_notes(other)))]
        parts.append(_difference_table(report.comparison, report.predicted))
    return Group(*parts)


def print_report(report: Report | Systems, *, explained: bool = False) -> None:
    """Write the scores of one system, of two, or of several to standard output.

    Args:
        report: Scores.
        explained: Whether the meaning of each column and number follows.
    """
    # Not narrower than its columns: a cut number is worse than a wrapped line.
    # Labels and file names are shown as they are, not read as markup.
    console = Console(width=max(Console().width, WIDTH), markup=False, emoji=False, highlight=False)
    several = isinstance(report, Systems)
    console.print(render_systems(report) if isinstance(report, Systems) else render(report))
    if explained:
        first = report.reports[0] if isinstance(report, Systems) else report
        groups = [SCORE_TERMS]
        groups += [TRIPLE_TERMS] if first.triples is not None else []
        groups += [COMPARISON_TERMS] if several or first.comparison is not None else []
        console.print(f"\n{explain(*groups)}")
