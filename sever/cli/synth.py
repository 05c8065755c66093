"""`sever synth`: make a synthetic data set."""

from __future__ import annotations

from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import (
    AsJson,
    CsvForm,
    Frequencies,
    Output,
)
from sever.cli.output import give


@app.command()
def synth(
    output: Output,
    train: Annotated[int, typer.Option(help="Number of training images.")] = 400,
    test: Annotated[int, typer.Option(help="Number of test images; their labels go to test_labels.csv.")] = 100,
    height: Annotated[int, typer.Option(help="Height of an image in pixels.")] = 256,
    width: Annotated[int, typer.Option(help="Width of an image in pixels.")] = 1600,
    frequencies: Annotated[
        Frequencies,
        typer.Option(help="Class frequencies: as in the competition, or equal."),
    ] = Frequencies.real,
    form: Annotated[CsvForm, typer.Option(help="Form of train.csv.")] = CsvForm.combined,
    seed: Annotated[int, typer.Option(help="The same seed makes the same images.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; 0 means one per core.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a synthetic data set of steel strip with exact masks, in the Severstal competition's layout.

    Example: `sever synth -o data/synthetic --train 1000 --test 200`
    """
    from sever.data.synthetic import SynthSettings
    from sever.pipeline.synth import synthesize

    settings = SynthSettings(
        train=train,
        test=test,
        height=height,
        width=width,
        seed=seed,
        frequencies=frequencies.value,
        csv_form=form.value,
        workers=workers,
    )
    give(synthesize(output, settings), as_json)
