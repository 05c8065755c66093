"""`sever blend`: several models into one, from their out-of-fold maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import AsJson, Output
from sever.cli.output import say
from sever.errors import InputError


@app.command()
def blend(
    output: Output,
    member: Annotated[
        list[Path] | None,
        typer.Option(
            "--member",
            "-m",
            help="Folder of a cross-validation or a blend, or saved/NAME (the newest); repeatable. A classifier's "
            "label probabilities become part of the gate.",
        ),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="mean (default), rms, power, geometric, median, maximum, vote, rank.")
    ] = None,
    weight: Annotated[
        list[float] | None, typer.Option(help="Weight of a member: one for each member with maps, in order.")
    ] = None,
    power: Annotated[
        float | None, typer.Option(help="For --kind power: 1 is the mean, 2 the root mean square.")
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(help="greedy: choose the weights by forward selection, if that beats the equal mean."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="YAML of experiments/ensembles/, instead of all of these.")
    ] = None,
    saved: Annotated[Path, typer.Option(help="With --recipe: the folder of all runs.")] = Path("saved"),
    seed: Annotated[int, typer.Option(help="Seed of --select greedy.", min=0)] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace another blend in the output folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Blend several models' out-of-fold evidence, and compare the blend with its members. No network runs.

    The output folder is a model, too: `sever predict -r FOLDER` blends the members' networks in the same way. An
    interrupted blend resumes where it stopped.

    Examples: `sever blend -m saved/unet -m saved/fpn -o saved/unet-fpn`,
    `sever blend --recipe experiments/ensembles/severstal-2019-mean.yml -o saved/severstal-2019-mean`
    """
    given = [member, kind, weight, power, select]
    if (recipe is None) == (not member) or (recipe is not None and any(given)):
        raise InputError("give either -m MEMBER (two or more) with --kind, --weight, --power, --select, or --recipe")
    from sever.cli.tables.blend import render_comparison
    from sever.pipeline.blend.combine import BlendRequest, as_blend, make_blend
    from sever.pipeline.blend.recipe import read_recipe
    from sever.pipeline.blend.scores import compare

    if recipe is not None:
        request = read_recipe(recipe, saved, seed)
    else:
        combined = as_blend(kind or "mean", weight or [], power)
        request = BlendRequest(tuple(member or ()), combined, select or "none", seed=seed)
    comparison = compare(make_blend(request, output, overwrite))
    say(json.dumps(comparison, indent=2) if as_json else render_comparison(comparison))
