"""Page of a report: one HTML file that needs nothing else, with its script, styles and pictures inside."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from instruct_mner.files import replacing
from instruct_mner.report.posts import OUTCOMES, PagePosts
from instruct_mner.report.summary import RunSummary
from instruct_mner.scoring.bootstrap import Difference, Measured
from instruct_mner.scoring.glossary import CALIBRATION_TERMS, SCORE_TERMS, TRIPLE_TERMS
from instruct_mner.scoring.table import TRIPLE_NAMES

PAGE_MARK = '<meta name="generator" content="instruct-mner report">'
"""Element by which a page is known as one."""
_TEMPLATES = Path(__file__).parent
# More than these, and nobody finds a cell.
_MOST_TYPES = 20
_NO_COUNTERPART = "no counterpart"


@dataclass(frozen=True, kw_only=True)
class PageTable:
    """Table beside the scores.

    Attributes:
        title: Title of the table.
        head: Heads of the columns.
        rows: Cells of each row; the first is its name.
        note: Text below the table.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class PageText:
    """Words of the page that are not made from the scores.

    Attributes:
        title: Title of the page.
        paragraphs: Introduction.
        tables: Tables that stand above the scores.
    """

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[PageTable] = ()


def write_page(
    path: Path,
    text: PageText,
    runs: Sequence[RunSummary],
    differences: Sequence[dict[str, Difference]],
    posts: PagePosts,
) -> None:
    """Write the page; it appears whole or not at all.

    Args:
        path: HTML file.
        text: Title and introduction.
        runs: Numbers of each prediction file; at least one.
        differences: F1 of each further file less that of the first, by the name of the score.
        posts: Posts.

    Raises:
        DataError: The file cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "embedded": _embedded, "signed": _signed}
    page = environment.get_template("page.html.jinja").render(
        mark=PAGE_MARK,
        text=text,
        gold=runs[0].report.gold,
        match=runs[0].report.match,
        num_resamples=runs[0].report.num_resamples,
        runs=runs,
        scores=_score_rows(runs, differences),
        outcomes=[each.value for each in OUTCOMES],
        confusions=_confusions(runs),
        no_counterpart=_NO_COUNTERPART,
        points=_points,
        posts=posts,
        data={
            "labels": posts.labels,
            "outcomes": [each.value for each in OUTCOMES],
            "runs": [run.name for run in runs],
            "posts": posts.posts,
        },
        terms=SCORE_TERMS | TRIPLE_TERMS | CALIBRATION_TERMS,
    )
    with replacing(path) as file:
        file.write(page)


@dataclass(frozen=True, kw_only=True)
class _ScoreRow:
    """Row of the table of scores: a name, the score of each run, and the differences from the first."""

    name: str
    is_main: bool
    cells: Sequence[Measured | None]
    differences: Sequence[Difference | None]


def _score_rows(runs: Sequence[RunSummary], differences: Sequence[dict[str, Difference]]) -> list[_ScoreRow]:
    measured = [_measured(run) for run in runs]
    names = dict.fromkeys(key for each in measured for key in each)
    return [
        _ScoreRow(
            name=_name(key),
            is_main=key == "micro",
            cells=[each.get(key) for each in measured],
            differences=[each.get(key) for each in differences],
        )
        for key in names
    ]


def _measured(run: RunSummary) -> dict[str, Measured]:
    report = run.report
    return {
        "micro": report.micro,
        **{f"per_type.{label}": each for label, each in report.per_type.items()},
        "span_only": report.span_only,
        **{f"triples.{part}": each for part, each in (report.triples or {}).items()},
    }


def _name(key: str) -> str:
    group, _, rest = key.partition(".")
    return TRIPLE_NAMES[rest] if group == "triples" else rest or group.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class _Confusion:
    """Types and counts of a run; the last row and column are those of entities without a counterpart."""

    names: Sequence[str]
    counts: Sequence[Sequence[int]]
    largest: int
    others: str
    num_others: int


def _confusions(runs: Sequence[RunSummary]) -> list[_Confusion]:
    """Return the confusion of each run, of the same types; those with the fewest errors are one row together."""
    errors: Counter[str] = Counter()
    for run in runs:
        for pair, number in run.confusion.items():
            errors.update({name: number if len(set(pair)) > 1 else 0 for name in pair if name is not None})
    most = len(errors) if len(errors) <= _MOST_TYPES else _MOST_TYPES - 1
    own = sorted(name for name, _ in errors.most_common(most))
    others = f"{len(errors) - most} other types"
    names = [*own, *([others] if len(errors) > most else []), _NO_COUNTERPART]
    # By number: a type may be called what the last row is called.
    place: dict[str | None, int] = {None: len(names) - 1, **{name: number for number, name in enumerate(own)}}
    made = []
    for run in runs:
        counts = [[0] * len(names) for _ in names]
        for (gold, predicted), number in run.confusion.items():
            counts[place.get(gold, len(own))][place.get(predicted, len(own))] += number
        largest = max(map(max, counts)) or 1
        made.append(
            _Confusion(names=names, counts=counts, largest=largest, others=others, num_others=len(errors) - most)
        )
    return made


def _points(run: RunSummary) -> list[tuple[float, float]]:
    """Return mean confidence and share that is right of each bin."""
    assert run.reliability is not None
    return list(zip(run.reliability.confidence.tolist(), run.reliability.accuracy.tolist(), strict=True))


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}"


def _embedded(value: object) -> Markup:
    """Return JSON that no text inside can end: the only signs with a meaning in a script element are escaped."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(written)  # noqa: S704 (nothing in it can open or close an element)
