"""`sever data doubts | shift | next`: whether labels, and images, can be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.data import data_app
from sever.cli.options import AsJson, Device, Output, PrecisionOption, SameModel, Set, SkipBad, load_data, the_model
from sever.cli.output import say
from sever.errors import InputError


@data_app.command()
def doubts(
    candidate: Annotated[
        Path | None,
        typer.Argument(help="Folder of a cross-validation or a blend, or a run (its validation images)."),
    ] = None,
    run: SameModel = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write to; by default doubts/ in the candidate's folder."),
    ] = None,
    sheet: Annotated[int, typer.Option(help="Number of doubts of each kind in doubts.png.", min=0)] = 6,
    as_json: AsJson = False,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Rank labels that look wrong, by networks that have not seen them: missing, extra, moved, or of another class.

    Writes doubts.csv (worst first), doubts.png and doubts.json. `sever data convert --listed` makes a task for a
    labelling tool from the CSV.

    Example: `sever data doubts saved/neu-grouped -o doubts`, then `sever data convert data/neu_seg -o task --to cvat
    --listed doubts/doubts.csv --first 50`
    """
    from sever.pipeline.data_doubts import default_folder, doubt_labels, render
    from sever.pipeline.inference.options import InferenceOptions

    judged = the_model(candidate, run)
    folder = output or default_folder(judged)
    numbers = doubt_labels(judged, folder, InferenceOptions(device, precision), sheet)
    say(json.dumps(numbers, indent=2) if as_json else render(numbers, folder))


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
    """Tell whether the images of B are like those of A; if not, by what, and weigh A's images to be like B.

    Writes shift.json, shift.png and weights.csv (of A's images, for `sever select` and `sever tune`).

    Example: `sever data shift data/severstal data/severstal/test_images -o shift`
    """
    sets = [load_data(set_, root=each, skip_bad=skip_bad or None) for each in (a, b)]
    from sever.pipeline.data_shift import compare_sets, render

    numbers = compare_sets((sets[0], sets[1]), output, copies, draws, sheet)
    say(json.dumps(numbers, indent=2) if as_json else render(numbers, output))


@data_app.command("next")
def next_(
    images: Annotated[Path, typer.Option(help="Folder of unlabelled images to choose from.")],
    output: Output,
    model: Annotated[Path | None, typer.Argument(help="A run, a cross-validation or a blend that draws masks.")] = None,
    run: SameModel = None,
    number: Annotated[int, typer.Option("--number", "-n", help="How many images to choose.", min=1)] = 100,
    sheet: Annotated[int, typer.Option(help="Number of images in next.png.", min=0)] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the clustering.", min=0)] = 0,
    as_json: AsJson = False,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Choose the images to label next: those on which the model trusts its masks least, and that differ most.

    Writes next.csv (for `sever data convert --listed`), next.png and next.json.

    Example: `sever data next saved/mine --images data/unlabelled -n 100 -o next`
    """
    from sever.pipeline.data_next import choose_images, render
    from sever.pipeline.inference.options import InferenceOptions

    options = InferenceOptions(device, precision)
    numbers = choose_images(the_model(model, run), images, output, number, options, sheet, seed)
    say(json.dumps(numbers, indent=2) if as_json else render(numbers, output))


@data_app.command()
def familiar(
    model: Annotated[
        Path | None, typer.Argument(help="A run, or a cross-validation; with --images also a blend or a bundle.")
    ] = None,
    run: SameModel = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images: rate these, instead of learning what is normal.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="With --images: folder for familiarity.csv.")
    ] = None,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Let a run learn what its normal images look like, from its training and validation images; then rate others.

    Examples: `sever data familiar saved/mine`, then `sever data familiar saved/mine --images data/new -o rated`
    """
    if (images is None) != (output is None):
        raise InputError("to rate images give both --images and -o; to learn what is normal, neither")
    from sever.pipeline.data_familiar import learn_familiarity, rate_images, render, render_learnt
    from sever.pipeline.inference.options import InferenceOptions

    if images is None or output is None:
        folders = learn_familiarity(the_model(model, run), device)
        say(json.dumps([str(folder) for folder in folders]) if as_json else render_learnt(folders))
        return
    numbers = rate_images(the_model(model, run), images, output, InferenceOptions(device))
    say(json.dumps(numbers, indent=2) if as_json else render(numbers, output))
