"""``instruct-mner calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.options import ImagesOption
from instruct_mner.cli.output import announce, print_json, table_console


def run(
    adapter: Annotated[
        str,
        typer.Argument(
            help="Adapter or fully tuned model, its run folder, or an adapter's hub name, user/name[@revision]: of "
            "that one the copy on this machine is calibrated."
        ),
    ],
    dev: Annotated[str, typer.Argument(metavar="DEV", help="Annotated posts that it was not trained on.")],
    *,
    held_out: Annotated[
        str | None, typer.Option(metavar="DATA", help="Posts on which the change is measured; default: DEV.")
    ] = None,
    images: ImagesOption = None,
    missing_image: Annotated[
        bool, typer.Option("--missing-image-as-text", help="Keep posts whose picture is missing, as text.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Base of the adapter, if not where mner.json says; at an endpoint, its name."),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Server that serves the adapter, whose confidences are fitted.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of posts tagged at once.")] = 64,
    plot: Annotated[
        Path | None, typer.Option(help="PNG of the reliability plot; default: reliability.png beside mner.json.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print the meaning of each number as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    resamples: Annotated[int, typer.Option(min=1, help="Number of resamples for the intervals.")] = 10_000,
) -> None:
    """Fit temperature and shift of the confidences, so that four in five entities of confidence 0.8 are right.

    It is written into mner.json, and tagging applies it; which entities are found does not change.
    """
    announce(f"calibrate: loading {adapter}")
    from instruct_mner.models.locations import adapter_place
    from instruct_mner.tagging.calibrate import CalibrationPosts, calibrate
    from instruct_mner.tagging.settings import TaggingSettings

    def posts(data: str) -> CalibrationPosts:
        return CalibrationPosts(data=data, images=images, text_where_missing=missing_image)

    report = calibrate(
        TaggingSettings(model=model, adapter=adapter_place(adapter), endpoint=endpoint, batch_size=batch_size),
        posts(dev),
        held_out=None if held_out is None else posts(held_out),
        plot=plot,
        seed=seed,
        num_resamples=resamples,
    )
    if as_json:
        print_json(report.to_dict())
    else:
        from instruct_mner.scoring.glossary import CALIBRATION_TERMS
        from instruct_mner.scoring.glossary import explain as explained
        from instruct_mner.scoring.reliability import render

        output = table_console()
        output.print(render(report))
        if explain:
            output.print(f"\n{explained(CALIBRATION_TERMS)}")
