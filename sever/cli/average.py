"""`sever average`: a run's best checkpoints into one."""

from __future__ import annotations

from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import (
    AsJson,
    RunPath,
)
from sever.cli.output import give


@app.command()
def average(
    run: RunPath,
    as_json: AsJson = False,
    best: Annotated[int, typer.Option(help="Number of best checkpoints to average.", min=2)] = 3,
) -> None:
    """Average the weights of a run's best checkpoints into a new one, for -r of other commands.

    Example: `sever average -r saved/lite0-unet --best 3`
    """
    from sever.pipeline.train.averaging import average_checkpoints

    give(average_checkpoints(run, best), as_json)
