"""``instruct-mner validate``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from instruct_mner.cli.options import DecodeOption, ImagesOption, LabelColumnOption, XmlOption
from instruct_mner.console import tracked
from instruct_mner.errors import DataError, listing
from instruct_mner.schema.choices import MissingImageOption

if TYPE_CHECKING:
    from instruct_mner.schema.records import Example


def run(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Data sets: paths, or FORMAT:PATH (conll, gmner, fmnerg, cmner, jsonl, hub).", metavar="DATA"
        ),
    ],
    *,
    images: ImagesOption = None,
    decode: DecodeOption = "tolerant",
    label_column: LabelColumnOption = "fine",
    xml: XmlOption = None,
    missing_image: Annotated[
        MissingImageOption,
        typer.Option(help="Posts whose picture is missing: an error, kept as text, or left out."),
    ] = "error",
    explain: Annotated[bool, typer.Option("--explain", help="Print the meaning of each number as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Count what data sets hold, and report every row, picture and box that is wrong."""
    from instruct_mner.data.problem_groups import ProblemGroups
    from instruct_mner.data.validation import known_sets, survey, table
    from instruct_mner.scoring.glossary import DATA_TERMS
    from instruct_mner.scoring.glossary import explain as explained

    counts, problems = survey(
        data,
        images=images,
        decode=decode,
        missing_image=missing_image,
        label_column=label_column,
        xml=xml,
        track=_track,
    )
    if as_json:
        datasets = [split.as_dict() for split in counts]
        report = {
            "decode": decode,
            "missing_image": missing_image,
            "datasets": datasets,
            "problems": problems,
        }
        typer.echo(json.dumps(report, ensure_ascii=False))
    elif counts:
        typer.echo("\n".join([*table(counts, decode), *known_sets(counts)]))
        if explain:
            typer.echo(f"\n{explained(DATA_TERMS)}")
        lacking = sum(split.num_posts_lacking for split in counts)
        if lacking and missing_image != "error":
            fate = "are read as text" if missing_image == "text" else "are left out"
            typer.echo(f"{lacking} posts whose picture is missing {fate}; the counts above include them.")
    for note in (note for split in counts for note in split.notes):
        typer.echo(note, err=True)
    if problems:
        groups = ProblemGroups(problems)
        lines = [*groups.lines(), *groups.hints()]
        raise DataError(f"{len(problems)} problem(s) found:\n{listing(lines, most=len(lines))}")


def _track(posts: Sequence[Example]) -> Iterable[Example]:
    return tracked(posts, "opening pictures", len(posts))
