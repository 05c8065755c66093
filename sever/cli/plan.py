"""`sever plan`: from data and hours to an experiment. Heavy imports happen inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import Device
from sever.cli.output import say


@app.command()
def plan(
    data: Annotated[Path, typer.Argument(help="The data set's folder, in a known layout.")],
    hours: Annotated[float, typer.Option(help="How long the training may take.", min=0.01)] = 1.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Experiment YAML to write; printed if not given.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the experiment.")] = "planned",
    groups: Annotated[
        Path | None, typer.Option(help="CSV with image and group; by default groups.csv in the data set, if it exists.")
    ] = None,
    train_only: Annotated[
        list[str] | None, typer.Option(help="A group that only trains, such as blends of several images; repeatable.")
    ] = None,
    machine: Annotated[
        Path | None,
        typer.Option(help="File with the measurement of this machine: read if it exists, else measured and written."),
    ] = None,
    strip: Annotated[
        bool, typer.Option("--strip", help="Start from weights that have learnt synthetic strip (for steel strip).")
    ] = False,
    explain: Annotated[bool, typer.Option(help="Print what was found about the data set and the machine.")] = False,
    device: Device = "auto",
) -> None:
    """Plan an experiment for this data, machine and time, with a reason on every line.

    Example: `sever plan data/mine --hours 2 -o mine.yml`, then `sever train -c mine.yml`
    """
    from sever.pipeline.plan.make import PlanWish, make_plan, write_plan

    wish = PlanWish(data, hours, name, groups, tuple(train_only or ()), device, machine, strip)
    page, told = make_plan(wish) if output is None else ("", write_plan(wish, output))
    if explain:
        say("\n".join(told))
    elif output is None:
        print(page, end="")
    else:
        say(output)
