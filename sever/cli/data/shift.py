"""`sever data shift`: whether one set is like another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.data.group import data_app
from sever.cli.options import AsJson, Output, Set, SkipBad, load_data
from sever.cli.output import say


@data_app.command()
def shift(
    a: Annotated[Path, typer.Argument(help="A data set, or any folder of images, e.g. what you train on.")],
    b: Annotated[Path, typer.Argument(help="Another, e.g. what you will be judged on.")],
    output: Output,
    copies: Annotated[
        bool, typer.Option(help="First look for near-duplicates, which would make the two look more alike or less.")
    ] = True,
    draws: Annotated[int, typer.Option(help="Bootstrap draws for the interval.", min=20)] = 500,
    sheet: Annotated[int, typer.Option(help="Number of images in each gallery of shift.png.", min=0)] = 8,
    set_: Set = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Find out whether the images of B are like those of A; if not, how they differ, and weigh A's images to be like B.

    Writes shift.json, shift.png and weights.csv (of A's images, for `sever select` and `sever tune`).

    Example: `sever data shift data/severstal data/severstal/test_images -o shift`
    """
    sets = [load_data(set_, root=each, skip_bad=skip_bad or None) for each in (a, b)]
    from sever.pipeline.data.shift import compare_sets, render

    numbers = compare_sets((sets[0], sets[1]), output, copies, draws, sheet)
    say(json.dumps(numbers, indent=2) if as_json else render(numbers, output))
