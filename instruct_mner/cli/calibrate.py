"""``instruct-mner calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.options import ImagesOption


def run(
    adapter: Annotated[Path, typer.Argument(help="An adapter or a fully tuned model, or the run folder of one.")],
    dev: Annotated[str, typer.Argument(metavar="DEV", help="Annotated posts that it was not trained on: DATA.")],
    *,
    held_out: Annotated[
        str | None, typer.Option(metavar="DATA", help="Measure the change on these posts, not on those of DEV.")
    ] = None,
    images: ImagesOption = None,
    missing_image: Annotated[
        bool, typer.Option("--missing-image-as-text", help="Keep posts whose picture is missing, as text.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="Where the base lies now, if not where mner.json says; or its name there.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Fit the confidences of this server, which serves the adapter.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Posts tagged at once.")] = 8,
    plot: Annotated[
        Path | None, typer.Option(help="PNG of the reliability; default: reliability.png beside mner.json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    resamples: Annotated[int, typer.Option(min=1, help="Draws of posts for the intervals.")] = 10_000,
) -> None:
    """Fit one temperature for the confidences, so that of what bears 0.8 four in five are right.

    It is written into mner.json, and tagging applies it; which entities are found does not change.
    """
    from instruct_mner.tagging.calibrate import Posts, calibrate
    from instruct_mner.tagging.settings import Asked

    report = calibrate(
        Asked(model, adapter, endpoint, batch_size=batch_size),
        Posts(dev, images, missing_image),
        held_out=None if held_out is None else Posts(held_out, images, missing_image),
        plot=plot,
        seed=seed,
        num_resamples=resamples,
    )
    if as_json:
        import json

        typer.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=2))
    else:
        from rich.console import Console

        from instruct_mner.scoring.reliability import render

        Console(width=max(Console().width, 110), markup=False, emoji=False, highlight=False).print(render(report))
