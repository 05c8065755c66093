"""`sever report`: one HTML file to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import AsJson, Candidate, Device, PrecisionOption, SameModel, the_model
from sever.cli.output import say


@app.command()
def report(
    candidate: Candidate = None,
    run: SameModel = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page to write, a .html; by default report.html in that folder."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="An older report (.html or .json) to compare with; by default the one being replaced."),
    ] = None,
    images: Annotated[int, typer.Option(help="Number of images in each gallery.", min=0, max=20)] = 4,
    with_: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            help="Folder of `sever data check`, `doubts` or `shift`, to show what they found; repeatable. "
            "The doubts/ folder of the candidate is shown anyway.",
        ),
    ] = None,
    as_json: AsJson = False,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Write one HTML file that opens without a network: scores, curves, calibration, gate, images, errors, changes.

    The numbers are written beside it as JSON. Uses stored maps if there is out-of-fold evidence; for a plain run, its
    validation images are predicted first.

    Examples: `sever report saved/neu-grouped -o report.html`, `sever report blends/a --against old/report.html`
    """
    from sever.pipeline.inference.options import InferenceOptions
    from sever.pipeline.report.write import summary, write_report

    options = InferenceOptions(device, precision)
    written = write_report(the_model(candidate, run), output, against, options, images, tuple(with_ or ()))
    say(json.dumps(summary(written.numbers), indent=2) if as_json else written.page.absolute())
