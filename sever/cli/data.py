"""`sever data`: look at a data set, and work on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.logs import logs
from sever.cli.options import (
    AsJson,
    DataRoot,
    Include,
    Output,
    Set,
    SkipBad,
    Split,
    ToolFormat,
    load_data,
    load_experiments,
)
from sever.cli.output import give, say
from sever.cli.paths import Application
from sever.errors import InputError

data_app = Application(help="Inspect, check and convert data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command()
def preview(
    config: Annotated[Path, typer.Option("--config", "-c", help="Experiment YAML.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write (PNG).")],
    data: DataRoot = None,
    set_: Set = None,
    images: Annotated[int, typer.Option(help="Number of images; each class and clean ones in turn.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Another seed shows other images.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw training images with their labels, and below each what the network sees of it in its first eight epochs.

    Example: `sever data preview -c experiments/lite0-unet.yml -o preview.png`
    """
    if output.suffix.lower() != ".png":
        raise InputError(f"-o {output}: the picture is a PNG; name it so, e.g. {output.with_suffix('.png')}")
    (experiment,) = load_experiments([config], set_, data__root=data)
    logs.use(experiment.log)
    from sever.pipeline.preview import preview_data

    preview_data(experiment, output, images, seed)
    give(output, as_json)


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
    from sever.pipeline.data_check import check_data, render

    numbers = check_data(settings, overlap, output, sheet)
    say(json.dumps(numbers, indent=2) if as_json else render(numbers, output))


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
        Path | None, typer.Option("--run", "-r", help="With --predictions: the run whose class names to use.")
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
        raise InputError("--first says how many images of a list; name the list, too (--listed doubts.csv)")
    from sever.pipeline.data_convert import Listed, Predicted, convert, render

    predicted = None if predictions is None else Predicted(predictions, run)
    some = None if listed is None else Listed(listed, first)
    numbers = convert(settings, split.value, to.value, output, tolerance, link, predicted, some)
    say(json.dumps(numbers, indent=2) if as_json else render(numbers))


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
    from sever.pipeline.data_stats import claim_page, describe_data, write_page

    if output is not None:
        claim_page(output)  # before the work
    numbers = describe_data(sets, images)
    if output is not None:
        write_page(output, numbers)
    say(json.dumps(numbers, indent=2) if as_json else output)
