"""`sever data familiar`: images that a model should not judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.data.group import data_app
from sever.cli.options import AsJson, Device, SameModel, the_model
from sever.cli.output import say
from sever.errors import InputError


@data_app.command()
def familiar(
    model: Annotated[
        Path | None, typer.Argument(help="A run, or a cross-validation; with --images also a blend or a bundle.")
    ] = None,
    run: SameModel = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images: rate these, instead of learning what is normal.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="With --images: folder for familiarity.csv.")
    ] = None,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Let a run learn what its normal images look like, from its training and validation images; then rate others.

    Examples: `sever data familiar saved/mine`, then `sever data familiar saved/mine --images data/new -o rated`
    """
    if (images is None) != (output is None):
        raise InputError("to rate images give both --images and -o; to learn what is normal, neither")
    from sever.pipeline.data.familiar import learn_familiarity, rate_images, render, render_learnt
    from sever.pipeline.inference.options import InferenceOptions

    if images is None or output is None:
        folders = learn_familiarity(the_model(model, run), device)
        say(json.dumps([str(folder) for folder in folders]) if as_json else render_learnt(folders))
        return
    numbers = rate_images(the_model(model, run), images, output, InferenceOptions(device))
    say(json.dumps(numbers, indent=2) if as_json else render(numbers, output))
