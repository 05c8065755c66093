"""`sever tune`: rules chosen on out-of-fold evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.options import AsJson
from sever.cli.output import say


@app.command()
def tune(
    run: Annotated[
        Path,
        typer.Option("--run", "-r", help="A candidate: the folder of a cross-validation or a blend, or saved/NAME."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File for the rules (NAME.json, with NAME-report.json beside it); default CANDIDATE/rules-tuned.json.",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws for the intervals.", min=20)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    weights: Annotated[
        Path | None,
        typer.Option(help="CSV image_id,weight (from `sever data shift`): how much each image counts in every score."),
    ] = None,
    allow_worse: Annotated[
        bool, typer.Option("--allow-worse", help="Also accept rules that make some class worse beyond noise.")
    ] = False,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply", help="Write the chosen rules into the candidate; its first ones are kept as rules-before.json."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Choose thresholds, smallest areas and the gate out of fold; without a gain beyond noise the default rules stay.

    Example: `sever tune -r saved/lite0-unet -o rules.json`
    """
    from sever.cli.tables.tuning import render_tuning
    from sever.pipeline.tune import TuneOptions, tune_candidate

    report = tune_candidate(run, TuneOptions(output, draws, seed, allow_worse, apply, weights))
    say(json.dumps(report, indent=2) if as_json else render_tuning(report))
