"""`sever data stats`: a data set in numbers, or two side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.data.group import data_app
from sever.cli.options import (
    AsJson,
    Include,
    Set,
    SkipBad,
    load_data,
)
from sever.cli.output import say
from sever.errors import InputError


@data_app.command()
def stats(
    root: Annotated[
        list[Path], typer.Argument(help="Folder of a data set in a known layout; two are shown side by side.")
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The page to write (.html).")] = None,
    images: Annotated[
        int, typer.Option(help="Number of images whose pixels are analysed; labels are analysed in all.", min=1)
    ] = 2000,
    set_: Set = None,
    include: Include = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Describe a data set (classes, areas, co-occurrence, sizes, light, margins, bits) and suggest settings for it.

    Examples: `sever data stats data/mine -o mine.html`, `sever data stats data/old data/new -o both.html`
    """
    if len(root) > 2:
        raise InputError(f"{len(root)} data sets were given; one, or two to compare, fit on a page")
    if output is None and not as_json:
        raise InputError("name the page to write (-o page.html), or print the numbers (--json)")
    if output is not None and output.suffix.lower() != ".html":
        raise InputError(f"-o {output}: the page is HTML; name it so, e.g. {output.with_suffix('.html')}")
    sets = [load_data(set_, root=each, skip_bad=skip_bad or None, include=include or None) for each in root]
    from sever.pipeline.data.stats import describe_data, write_stats

    numbers = describe_data(sets, images) if output is None else write_stats(sets, images, output)
    say(json.dumps(numbers, indent=2) if as_json else output)
