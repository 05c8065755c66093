"""`sever data preview`: training images with their labels, and what the network sees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.data.group import data_app
from sever.cli.logs import logs
from sever.cli.options import (
    AsJson,
    DataRoot,
    Set,
    load_experiments,
)
from sever.cli.output import give
from sever.errors import InputError


@data_app.command()
def preview(
    config: Annotated[Path, typer.Option("--config", "-c", help="Experiment YAML.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write (PNG).")],
    data: DataRoot = None,
    set_: Set = None,
    images: Annotated[int, typer.Option(help="Number of images; each class and clean ones in turn.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Another seed shows other images.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw training images with their labels, and below each what the network sees of it in its first eight epochs.

    Example: `sever data preview -c experiments/lite0-unet.yml -o preview.png`
    """
    if output.suffix.lower() != ".png":
        raise InputError(f"-o {output}: the picture is a PNG; name it so, e.g. {output.with_suffix('.png')}")
    (experiment,) = load_experiments([config], set_, data__root=data)
    logs.use(experiment.log)
    from sever.pipeline.data.preview import preview_data

    preview_data(experiment, output, images, seed)
    give(output, as_json)
