"""Words that the commands about Kaggle share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.config import KaggleSettings, load_kaggle

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="YAML with owner, licence, competition, ...; by default kaggle.yml.")
]
Competition = Annotated[str | None, typer.Option(help="Name of the competition, as in its address.")]
Owner = Annotated[str | None, typer.Option(help="Account that owns it; by default the one signed in.")]
Title = Annotated[str | None, typer.Option(help="Title on Kaggle; by default made from the model's name.")]
WaitMinutes = Annotated[float, typer.Option("--wait", help="Minutes to wait for Kaggle; 0 does not wait.", min=0)]


def kaggle_settings(file: Path | None, **options: object) -> KaggleSettings:
    return load_kaggle(file, {name: value for name, value in options.items() if value is not None})
