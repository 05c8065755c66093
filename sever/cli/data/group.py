"""`sever data`: the group of its commands."""

from __future__ import annotations

from sever.cli.application import app
from sever.cli.paths import Application

data_app = Application(help="Inspect, check and convert data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")
