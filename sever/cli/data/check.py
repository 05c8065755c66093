"""`sever data check`: near-duplicates, and masks that differ."""

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
    load_data,
)
from sever.cli.output import say


@data_app.command()
def check(
    root: Annotated[Path, typer.Argument(help="Folder of a data set in a known layout.")],
    output: Output,
    overlap: Annotated[
        float, typer.Option(help="Share of its frame that two images must have in common to form a group, 0.5 to 1.")
    ] = 0.95,
    sheet: Annotated[
        int, typer.Option(help="Number of pairs in pairs.png; those with differing masks come first.", min=0)
    ] = 24,
    set_: Set = None,
    include: Include = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Find images of the same steel: equal, mirrored, rotated, shifted, or with other light or compression.

    Writes groups.csv (for data.groups, so that no group ends up on both sides of a split), duplicates.csv (every pair,
    its orientation and shift, and the Dice of its masks), pairs.png and check.json. Includes images of test_images/.

    Example: `sever data check data/neu_seg -o checked`, then `data.groups: checked/groups.csv`
    """
    settings = load_data(set_, root=root, skip_bad=skip_bad or None, include=include or None)
    from sever.pipeline.data.check import check_data, render

    numbers = check_data(settings, overlap, output, sheet)
    say(json.dumps(numbers, indent=2) if as_json else render(numbers, output))
