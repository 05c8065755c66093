"""`sever average`: a run's best checkpoints into one."""

from __future__ import annotations

from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import (
    RunPath,
)
from sever.cli.output import say


@app.command()
def average(
    run: RunPath,
    best: Annotated[int, typer.Option(help="Number of best checkpoints to average.", min=2)] = 3,
) -> None:
    """Average the weights of a run's best checkpoints into a new one, for -r of other commands.

    Example: `sever average -r saved/lite0-unet --best 3`
    """
    from sever.pipeline.train.averaging import average_checkpoints

    say(average_checkpoints(run, best).absolute())
