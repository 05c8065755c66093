"""`sever data next`: which images to label next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.data.group import data_app
from sever.cli.options import AsJson, Device, Output, PrecisionOption, SameModel, the_model
from sever.cli.output import say


@data_app.command("next")
def next_(
    images: Annotated[Path, typer.Option(help="Folder of unlabelled images to choose from.")],
    output: Output,
    model: Annotated[Path | None, typer.Argument(help="A run, a cross-validation or a blend that draws masks.")] = None,
    run: SameModel = None,
    number: Annotated[int, typer.Option("--number", "-n", help="How many images to choose.", min=1)] = 100,
    sheet: Annotated[int, typer.Option(help="Number of images in next.png.", min=0)] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the clustering.", min=0)] = 0,
    as_json: AsJson = False,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Choose the images to label next: those on which the model trusts its masks least, and that differ most.

    Writes next.csv (for `sever data convert --listed`), next.png and next.json.

    Example: `sever data next saved/mine --images data/unlabelled -n 100 -o next`
    """
    from sever.pipeline.data.next import choose_images, render
    from sever.pipeline.inference.options import InferenceOptions

    options = InferenceOptions(device, precision)
    numbers = choose_images(the_model(model, run), images, output, number, options, sheet, seed)
    say(json.dumps(numbers, indent=2) if as_json else render(numbers, output))
