"""`sever data convert`: labels, or a model's predictions, for other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.data.group import data_app
from sever.cli.options import (
    AsJson,
    Include,
    Output,
    Set,
    SkipBad,
    Split,
    ToolFormat,
    load_data,
)
from sever.cli.output import say
from sever.errors import InputError


@data_app.command("convert")
def convert_(
    root: Annotated[Path, typer.Argument(help="Folder of a data set; with --predictions the folder of its images.")],
    output: Output,
    to: Annotated[ToolFormat, typer.Option(help="What to write.")],
    split: Annotated[Split, typer.Option(help="Which part of a data set that has two.")] = Split.train,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Output folder of `sever predict`: write its masks, with scores, for correction."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", "--model", "-r", help="With --predictions: the model whose class names to use."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Write polygons at most this many pixels off (0: none), instead of exact masks.", min=0),
    ] = None,
    listed: Annotated[
        Path | None,
        typer.Option(help="CSV with the column image: convert only these, in this order, e.g. doubts.csv or next.csv."),
    ] = None,
    first: Annotated[int | None, typer.Option(help="With --listed: only the first N images.", min=1)] = None,
    link: Annotated[bool, typer.Option("--link", help="Link the images instead of copying them.")] = False,
    set_: Set = None,
    include: Include = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Write labels, or a model's predictions, for another tool, with the images; report what was lost.

    Example: `sever data convert data/mine -o for-cvat --to cvat`
    """
    settings = load_data(set_, root=root, skip_bad=skip_bad or None, include=include or None)
    if first is not None and listed is None:
        raise InputError("--first limits a list; give the list, too (--listed doubts.csv)")
    from sever.cli.tables.conversion import render_conversion
    from sever.pipeline.data.convert import Listed, Predicted, convert

    predicted = None if predictions is None else Predicted(predictions, run)
    some = None if listed is None else Listed(listed, first)
    numbers = convert(settings, split.value, to.value, output, tolerance, link, predicted, some)
    say(json.dumps(numbers, indent=2) if as_json else render_conversion(numbers))
