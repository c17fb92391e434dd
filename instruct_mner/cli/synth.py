"""``instruct-mner synth``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from instruct_mner.cli.output import table_console


def run(
    out: Annotated[Path, typer.Argument(help="Folder to write; other splits may be there already.", metavar="OUT")],
    *,
    num: Annotated[int, typer.Option(min=1, help="Number of posts in each split.")] = 1000,
    split: Annotated[
        Literal["all", "train", "dev", "test"],
        typer.Option(help="Splits to make; their syllables and sentences are disjoint."),
    ] = "all",
    seed: Annotated[int, typer.Option(help="Seed; the same one gives the same bytes.")] = 0,
    level: Annotated[
        int,
        typer.Option(
            min=0, max=1, help="Difficulty: 1 has larger pictures, a free layout, and objects that no text mentions."
        ),
    ] = 0,
    domain: Annotated[
        Literal["coarse", "fine", "renamed", "home", "held-out"], typer.Option(help="Label set with its drawings.")
    ] = "coarse",
    linking: Annotated[
        Literal["places", "winds"], typer.Option(help="Words for places in a picture: top left, or north west.")
    ] = "places",
    unrelated: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of pictures from another post.", rich_help_panel="Ambiguity of posts"),
    ] = 0.2,
    affixes: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of names whose ending tells their type.", rich_help_panel="Ambiguity of posts"
        ),
    ] = 0.22,
    contexts: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of sentences whose words point to a type.", rich_help_panel="Ambiguity of posts"
        ),
    ] = 0.35,
    cues: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of names linked to their object, where there are several.",
            rich_help_panel="Ambiguity of posts",
        ),
    ] = 0.94,
) -> None:
    """Make synthetic posts with pictures and boxes, and say the best score that any tagger can reach on them."""
    from instruct_mner.synthetic.label_sets import DOMAINS
    from instruct_mner.synthetic.settings import Synthesis
    from instruct_mner.synthetic.vocabulary import SPLITS
    from instruct_mner.synthetic.write import bounds_table, synth

    output = table_console()
    chosen = [
        Synthesis(
            domain=DOMAINS[domain],
            level=level,
            split=name,
            linking=linking,
            unrelated=unrelated,
            affixes=affixes,
            contexts=contexts,
        ).with_cues(cues)
        for name in (SPLITS if split == "all" else (split,))
    ]
    with ExitStack() as undo:  # All or none: the same command can be run again.
        for synthesis in chosen:
            written = synth(out, synthesis, num, seed)
            undo.callback(written.remove)
            output.print(bounds_table(written))
        undo.pop_all()
