"""`sever download`: a competition's data, or a data set, from Kaggle. Needs the extra `sever[kaggle]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.kaggle_options import SettingsFile, kaggle_settings
from sever.cli.options import AsJson
from sever.cli.output import give
from sever.errors import InputError


@app.command()
def download(
    name: Annotated[str | None, typer.Argument(help="Name of a competition, as in its address.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A data set instead of a competition: OWNER/NAME.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to unpack into; by default data/raw/NAME.")
    ] = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Download and unpack a competition's data, or a data set. Resumes where it stopped; a second run does nothing.

    Examples: `sever download`, `sever download --dataset OWNER/NAME -o data/raw/extra`
    """
    if name is not None and dataset is not None:
        raise InputError("give a competition's NAME or --dataset OWNER/NAME, not both")
    wanted_name = dataset or name or kaggle_settings(settings).competition
    from sever.pipeline.kaggle.download import WantedData, download_data

    give(download_data(WantedData(wanted_name, dataset is not None), output), as_json)
