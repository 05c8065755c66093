"""`sever data`: look at a data set, and work on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.logs import logs
from sever.cli.options import DataRoot, Set, load_experiments
from sever.errors import InputError

data_app = typer.Typer(help="Look at a data set, and work on it.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.callback()
def _group() -> None:
    """Keeps `data` a group while it has one command."""


@data_app.command()
def preview(
    config: Annotated[Path, typer.Option("--config", "-c", help="Experiment YAML.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write (PNG).")],
    data: DataRoot = None,
    set_: Set = None,
    images: Annotated[int, typer.Option(help="How many images; each class and clean ones in turn.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Another seed shows other images.", min=0)] = 0,
) -> None:
    """Draw training images with contours around their labels, and of each what its first eight epochs show the network.

    Example: `sever data preview -c experiments/lite0-unet.yml -o preview.png`
    """
    if output.suffix.lower() != ".png":
        raise InputError(f"-o {output}: the picture is a PNG; name it so, e.g. {output.with_suffix('.png')}")
    (experiment,) = load_experiments([config], set_, data__root=data)
    logs.use(experiment.log)
    from sever.pipeline.preview import preview_data

    preview_data(experiment, output, images, seed)
    print(output)
