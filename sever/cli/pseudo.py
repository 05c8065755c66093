"""`sever pseudo`: label what is sure enough."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import AsJson, Device, Flip, Include, MaxPixels, Output, PrecisionOption, RunPath, SkipBad, Split
from sever.cli.output import say


class By(StrEnum):
    confidence = "confidence"
    gate = "gate"
    agreement = "agreement"


@app.command()
def pseudo(
    run: RunPath,
    output: Output,
    images: Annotated[Path | None, typer.Option(help="Folder of images of any layout, searched recursively.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data set root in a known layout, instead of --images.")] = None,
    split: Annotated[Split, typer.Option(help="With --data: which images.")] = Split.test,
    by: Annotated[
        By,
        typer.Option(
            help="How to be sure: by the probabilities of the pixels, by the gate (image classifier) that agrees with "
            "the masks, or by the Dice among the members of a blend or cross-validation."
        ),
    ] = By.confidence,
    min_present: Annotated[
        float | None, typer.Option(help="Lowest confidence of a class that is drawn, 0..1; each --by has its default.")
    ] = None,
    min_empty: Annotated[
        float | None, typer.Option(help="Lowest confidence of a class that is not drawn, 0..1.")
    ] = None,
    include: Include = None,
    flip: Annotated[
        list[Flip] | None, typer.Option(help="Also average over this flip; repeatable; `none` for no flip at all.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per batch.", min=1)] = None,
    sheet: Annotated[int, typer.Option(help="Draw about this many of the kept images into sheet.png.", min=0)] = 12,
    skip_bad: SkipBad = False,
    max_pixels: MaxPixels = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the maps of another run in the output folder.")] = False,
    as_json: AsJson = False,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Label the images a model is confident about: pseudo.csv (with Confidence), pseudo.json and sheet.png.

    An image is kept only if the model is confident about every class, drawn or not. To train with the result, use the
    section `pseudo` of an experiment. An interrupted prediction resumes; other limits on the same images run no
    network.

    Example: `sever pseudo -r saved/lite0-unet --images my/images -o sure`
    """
    from sever.cli.tables.pseudo_labels import render_pseudo
    from sever.decide.pseudo_labels import Sureness
    from sever.pipeline.inference.options import InferenceOptions
    from sever.pipeline.predict import ImageSource
    from sever.pipeline.pseudo import label_images

    sureness = Sureness(by.value, min_present, min_empty)
    source = ImageSource(images, data, split.value, tuple(include or ()), skip_bad)
    flips = None if flip is None else tuple(name.value for name in flip if name is not Flip.none)
    how = InferenceOptions(device, precision, flips, batch_size, max_pixels)
    report = label_images(run, source, output, sureness, how, sheet, overwrite)
    say(json.dumps(report, indent=2) if as_json else render_pseudo(report, output))
