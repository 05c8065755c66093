"""`sever gate`: the soft gate as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import AsJson, Device
from sever.cli.output import give
from sever.errors import InputError


@app.command()
def gate(
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write, .svg or .png.")],
    run: Annotated[
        Path | None,
        typer.Option("--run", "-r", help="A candidate: its smallest areas are used, and its images are drawn as dots."),
    ] = None,
    min_pixels: Annotated[
        list[int] | None,
        typer.Option(help="Smallest area at gate probability 1, instead of those of 2019; repeatable.", min=1),
    ] = None,
    factor: Annotated[
        list[float] | None, typer.Option(help="A c to draw; by default 5, 10 and 20 (2019); repeatable.", min=1)
    ] = None,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Draw the soft gate: the smallest area t0*c - t0*(c - 1)*p against the gate's probability p, for several c.

    Examples: `sever gate -o gate.svg`, `sever gate -o gate.svg -r saved/gated --factor 5 --factor 8`
    """
    if run is not None and min_pixels:
        raise InputError("give either -r CANDIDATE, whose rules have the smallest areas, or --min-pixels")
    from sever.deliver.charts import raise_unless_picture
    from sever.pipeline.gate_picture import draw_gate_of, draw_plain_gate
    from sever.pipeline.inference.options import InferenceOptions

    raise_unless_picture(output)
    if run is not None:
        draw_gate_of(run, output, factor or (), InferenceOptions(device))
    else:
        draw_plain_gate(output, min_pixels or (), factor or ())
    give(output, as_json)
