"""`sever crossval`: train the folds, keep their maps."""

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
    Device,
    PrecisionOption,
    RunFolder,
    Set,
    SkipBad,
    experiments_to_train,
)
from sever.cli.output import say
from sever.errors import InputError


@app.command()
def crossval(
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="Experiment YAML; give several to run one after another."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", "-r", help="Resume this cross-validation: finished folds stay.")
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(help="With -r: train only this fold (counted from 0), e.g. on another machine.", min=0),
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Override folds.count.", min=2)] = None,
    jobs: Annotated[
        int,
        typer.Option(
            help="Folds trained in parallel, each in its own process; 0: one per GPU, or per four cores.", min=0
        ),
    ] = 0,
    data: DataRoot = None,
    set_: Set = None,
    saved: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("saved"),
    output: RunFolder = None,
    seed: Annotated[int | None, typer.Option(help="Override train.seed.")] = None,
    precision: PrecisionOption = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Train every fold, and keep each network's predictions for unseen images: the out-of-fold evidence.

    Writes to saved/NAME/TIMESTAMP/ a run for each fold, probs/ID.png, pairs.csv (the score table) and, for a
    classifier, labels.csv. Blends, rules and submissions are chosen on these. The whole data set is divided into
    folds.count folds, regardless of folds.scheme.

    Examples: `sever crossval -c experiments/neu-grouped.yml`, `sever crossval -r saved/neu-grouped`
    """
    if bool(config) == (run is not None):
        raise InputError("give either -c CONFIG (one or more) to start, or -r FOLDER to resume")
    if run is None and fold is not None:
        raise InputError("--fold is one of a cross-validation that has begun: give its folder with -r")
    if run is not None and (
        skip_bad or set_ or any(value is not None for value in (data, folds, seed, precision, output))
    ):
        raise InputError(
            "a cross-validation keeps its own settings: leave --data, --set, --folds, --seed, --precision, "
            "--skip-bad and -o out"
        )
    experiments = experiments_to_train(
        config, output, set_, data, skip_bad, folds__count=folds, train__seed=seed, train__precision=precision
    )
    from sever.cli.tables.crossval import render_crossval
    from sever.pipeline.crossval import crossvalidate, run_fold, start
    from sever.store import Evidence

    if run is not None and fold is not None:
        logs.use_those_of(Evidence.find(run).folder)
        run_fold(Evidence.find(run), fold, device)
        return
    started = (
        [Evidence.find(run)] if run is not None else (start(experiment, saved, output) for experiment in experiments)
    )
    for evidence in started:
        logs.use_those_of(evidence.folder)
        result = crossvalidate(evidence, device, jobs)
        say(json.dumps(result.as_dict(), indent=2) if as_json else render_crossval(result))
