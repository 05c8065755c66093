"""`sever demo`: the whole workflow on synthetic strip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import (
    Device,
    Output,
    Set,
    load_experiments,
)
from sever.cli.output import say


@app.command()
def demo(
    output: Output = Path("demo"),
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="Experiment YAML, instead of the plan that the demo makes; repeatable."),
    ] = None,
    set_: Set = None,
    machine: Annotated[
        Path | None, typer.Option(help="File with the measurement of this machine, as in `sever plan`.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Run the whole workflow on synthetic strip, from no data to scored masks, in a few minutes on two cores."""
    from sever.cli.tables.demo import render_demo
    from sever.config import read_assignments
    from sever.pipeline.demo import DemoModels, run_demo

    models = DemoModels(tuple(load_experiments(config or [], set_)), read_assignments(set_ or ()), machine)
    say(render_demo(run_demo(models, output, device)))
