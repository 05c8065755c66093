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
        typer.Option("--config", "-c", help="Experiment YAML, instead of those that come with sever; repeatable."),
    ] = None,
    set_: Set = None,
    device: Device = "auto",
) -> None:
    """Run the whole workflow on synthetic strip, from no data to scored masks, in a few minutes on two cores."""
    from sever.pipeline.demo import run_demo

    configs = config or sorted((Path(__file__).parents[1] / "pipeline").glob("demo-*.yml"), reverse=True)
    say(run_demo(load_experiments(configs, set_), output, device))
