"""`sever train`: train experiments, or resume one."""

from __future__ import annotations

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
from sever.cli.output import give
from sever.config import ExperimentConfig, read_assignments
from sever.errors import InputError


@app.command()
def train(
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="Experiment YAML; give several to train one after another."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", "-r", help="Resume this run, or from this checkpoint, exactly.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Fine-tune this model (a bundle, a run, a checkpoint) on the images of --data, with its own settings, "
            "a tenth of the learning rates and a quarter of the epochs; --set changes them.",
        ),
    ] = None,
    data: DataRoot = None,
    set_: Set = None,
    saved: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("saved"),
    output: RunFolder = None,
    seed: Annotated[int | None, typer.Option(help="Override train.seed.")] = None,
    precision: PrecisionOption = None,
    skip_bad: SkipBad = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="With -r: train to this many epochs in all; the learning rate's schedule is stretched.", min=1
        ),
    ] = None,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Train one or several experiments, or resume one. Each run gets a folder saved/NAME/TIMESTAMP, or that of -o.

    Examples: `sever train -c experiments/lite0-unet.yml`, `sever train -c experiments/lite0-unet.yml --data data/mine
    --set name=mine --set train.epochs=20`, `sever train --from model.sever --data data/corrected`,
    `sever train -r saved/lite0-unet`; in two processes:
    `torchrun --nproc-per-node 2 -m sever train -c experiments/lite0-unet.yml`
    """
    if sum((bool(config), run is not None, start is not None)) != 1:
        raise InputError(
            "give one of these: -c CONFIG (one or more) to start, --from MODEL to fine-tune, -r RUN to resume"
        )
    if run is not None:
        if skip_bad or set_ or any(value is not None for value in (data, seed, precision, output)):
            raise InputError(
                "a resumed run keeps its own settings: leave --data, --set, --seed, --precision, --skip-bad and -o out"
            )
        from sever.pipeline.train.resuming import resume
        from sever.store import find_run

        logs.use_those_of(find_run(run)[0].folder)
        give(resume(run, device, epochs).folder, as_json)
        return
    if epochs is not None:
        raise InputError("--epochs trains a finished run (-r) further; for a new one give --set train.epochs=N")
    if start is not None:
        experiments = [_fine_tuning(start, data, set_, skip_bad, seed, precision)]
    else:
        experiments = experiments_to_train(
            config, output, set_, data, skip_bad, train__seed=seed, train__precision=precision
        )
    from sever.pipeline.train.starting import train_experiment, train_into

    for experiment in experiments:
        logs.use(experiment.log)
        if output is not None:
            give(train_into(experiment, output, device).folder, as_json)
        else:
            give(train_experiment(experiment, saved, device).folder, as_json)


def _fine_tuning(
    start: Path, data: Path | None, set_: list[str] | None, skip_bad: bool, seed: int | None, precision: str | None
) -> ExperimentConfig:
    if data is None:
        raise InputError("--from needs --data ROOT: the images to fine-tune on, as `sever serve export` writes them")
    from sever.pipeline.train.tuning_from import fine_tuning

    options = {"data.skip_bad": skip_bad or None, "train.seed": seed, "train.precision": precision}
    return fine_tuning(start, data, options, read_assignments(set_ or ()))
