"""`sever evaluate`: a shell around `sever.evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import (
    AsJson,
    Device,
    Include,
    MaxPixels,
    PrecisionOption,
)
from sever.cli.output import say
from sever.errors import InputError


@app.command()
def evaluate(
    submission: Annotated[Path | None, typer.Option("--submission", "-s", help="Submission CSV to score.")] = None,
    run: Annotated[
        Path | None, typer.Option("--run", "-r", help="Run or checkpoint to score, instead of a submission.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Data set root with labels; with -r alone: the run's own validation images."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels of the test images (Severstal layout), in either CSV form.")
    ] = None,
    include: Include = None,
    num_classes: Annotated[
        int | None, typer.Option(help="Number of classes, if the data set and its labels don't determine it.", min=1)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write scores.json, images.csv and sheet.png here."),
    ] = None,
    as_json: AsJson = False,
    max_pixels: MaxPixels = None,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Score a submission or a run against labels: the competition's Dice, Dice per class, IoU, and image-level errors.

    Examples: `sever evaluate -r saved/lite0-unet`,
    `sever evaluate --data D --labels D/test_labels.csv -s out/submission.csv`
    """
    import sever
    from sever.cli.tables.evaluation import render_evaluation

    if (submission is None) == (run is None):
        raise InputError("give either -s SUBMISSION or -r RUN")
    if data is None and run is not None and (labels is not None or include):
        raise InputError("--labels and --include are about the images of a data set: give --data ROOT too")
    if data is None and run is None:
        raise InputError("a submission is scored against labels: give --data ROOT, and --labels CSV for test images")
    evaluation = sever.evaluate(
        run,
        submission=submission,
        data=data,
        labels=labels,
        include=include or (),
        num_classes=num_classes,
        output=output,
        device=device,
        precision=precision,
        max_pixels=max_pixels,
    )
    say(json.dumps(evaluation, indent=2) if as_json else render_evaluation(evaluation))
