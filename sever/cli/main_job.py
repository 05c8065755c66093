"""Make data, train, predict, score: the main job's commands. Heavy imports happen inside the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sever.cli.application import app
from sever.cli.logs import logs
from sever.cli.options import (
    AsJson,
    CsvForm,
    DataRoot,
    Device,
    Flip,
    Frequencies,
    Include,
    MaxPixels,
    Output,
    PrecisionOption,
    RunPath,
    Set,
    SkipBad,
    Split,
    load_experiments,
)
from sever.cli.output import say
from sever.config import MAX_PIXELS
from sever.errors import InputError


@app.command()
def synth(
    output: Output,
    train: Annotated[int, typer.Option(help="Number of training images.")] = 400,
    test: Annotated[int, typer.Option(help="Number of test images; their labels go to test_labels.csv.")] = 100,
    height: Annotated[int, typer.Option(help="Height of an image in pixels.")] = 256,
    width: Annotated[int, typer.Option(help="Width of an image in pixels.")] = 1600,
    frequencies: Annotated[
        Frequencies,
        typer.Option(help="Class frequencies: as in the competition, or equal."),
    ] = Frequencies.real,
    form: Annotated[CsvForm, typer.Option(help="Form of train.csv.")] = CsvForm.combined,
    seed: Annotated[int, typer.Option(help="The same seed makes the same images.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; 0 means one per core.", min=0)] = 0,
) -> None:
    """Make a synthetic data set of steel strip with exact masks, in the Severstal competition's layout.

    Example: `sever synth -o data/synthetic --train 1000 --test 200`
    """
    from sever.data.synthetic import SynthSettings
    from sever.pipeline.synth import synthesize

    settings = SynthSettings(
        train=train,
        test=test,
        height=height,
        width=width,
        seed=seed,
        frequencies=frequencies.value,
        csv_form=form.value,
        workers=workers,
    )
    say(synthesize(output, settings).absolute())


@app.command()
def train(
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="Experiment YAML; give several to train one after another."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", "-r", help="Resume this run, or from this checkpoint, exactly.")
    ] = None,
    data: DataRoot = None,
    set_: Set = None,
    saved: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("saved"),
    seed: Annotated[int | None, typer.Option(help="Override train.seed.")] = None,
    precision: PrecisionOption = None,
    skip_bad: SkipBad = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="With -r: train to this many epochs in all; the learning rate's schedule is stretched.", min=1
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Train one or several experiments, or resume one. Each run gets a folder saved/NAME/TIMESTAMP.

    Examples: `sever train -c experiments/lite0-unet.yml`, `sever train -c experiments/lite0-unet.yml --data data/mine
    --set name=mine --set train.epochs=20`, `sever train -r saved/lite0-unet`; in two processes:
    `torchrun --nproc-per-node 2 -m sever train -c experiments/lite0-unet.yml`
    """
    if bool(config) == (run is not None):
        raise InputError("give either -c CONFIG (one or more) to start, or -r RUN to resume")
    if run is not None:
        if skip_bad or set_ or any(value is not None for value in (data, seed, precision)):
            raise InputError(
                "a resumed run keeps its own settings: leave --data, --set, --seed, --precision and --skip-bad out"
            )
        from sever.pipeline.train import resume
        from sever.progress import give
        from sever.store import find_run

        logs.use_those_of(find_run(run)[0].folder)
        give(resume(run, device, epochs).folder)
        return
    if epochs is not None:
        raise InputError("--epochs goes on with a run (-r) beyond its end; for a new one say --set train.epochs=N")
    experiments = load_experiments(
        config or [],
        set_,
        data__root=data,
        data__skip_bad=skip_bad or None,
        train__seed=seed,
        train__precision=precision,
    )
    from sever.pipeline.train import train_experiment
    from sever.progress import give

    for experiment in experiments:
        logs.use(experiment.log)
        give(train_experiment(experiment, saved, device).folder)


@app.command()
def average(
    run: RunPath,
    best: Annotated[int, typer.Option(help="Number of best checkpoints to average.", min=2)] = 3,
) -> None:
    """Average the weights of a run's best checkpoints into a new one, for -r of other commands.

    Example: `sever average -r saved/lite0-unet --best 3`
    """
    from sever.pipeline.train import average_checkpoints

    say(average_checkpoints(run, best).absolute())


@app.command()
def predict(
    run: RunPath,
    output: Output,
    images: Annotated[Path | None, typer.Option(help="Folder of images, searched recursively, or one image.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data set root in a known layout, instead of --images.")] = None,
    split: Annotated[Split, typer.Option(help="With --data: which images.")] = Split.test,
    include: Include = None,
    form: Annotated[CsvForm, typer.Option(help="Form of submission.csv.")] = CsvForm.combined,
    flip: Annotated[
        list[Flip] | None,
        typer.Option(help="Also average over this flip; repeatable; `none` for no flip at all."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per batch.", min=1)] = None,
    sheet: Annotated[int, typer.Option(help="Draw this many images with found defects into sheet.png.", min=0)] = 12,
    skip_bad: SkipBad = False,
    max_pixels: MaxPixels = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the maps of another run in the output folder.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option(help="Finish within this many minutes: drops flips, then models, if necessary.", min=0.001),
    ] = None,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Predict probability maps (probs/ID.png) and submission.csv. An interrupted prediction resumes where it stopped.

    Example: `sever predict -r saved/lite0-unet --images my/images -o out`
    """
    from sever.pipeline.inference.options import InferenceOptions
    from sever.pipeline.predict import Source, predict_images

    source = Source(images, data, split.value, tuple(include or ()), skip_bad)
    flips = None if flip is None else tuple(name.value for name in flip if name is not Flip.none)
    how = InferenceOptions(device, precision, flips, batch_size, max_pixels)
    done = predict_images(
        run, source, output, form.value, how, sheet_images=sheet, overwrite=overwrite, minutes=minutes
    )
    say(done)


@app.command()
def evaluate(
    submission: Annotated[Path | None, typer.Option("--submission", "-s", help="Submission CSV to score.")] = None,
    run: Annotated[
        Path | None, typer.Option("--run", "-r", help="Run or checkpoint to score, instead of a submission.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Data set root with labels; with -r alone: the run's own validation images."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels of the test images (Severstal layout), in either CSV form.")
    ] = None,
    include: Include = None,
    num_classes: Annotated[
        int | None, typer.Option(help="Number of classes, if the data set and its labels don't determine it.", min=1)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write scores.json, images.csv and sheet.png here."),
    ] = None,
    as_json: AsJson = False,
    max_pixels: MaxPixels = None,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Score a submission or a run against labels: the competition's Dice, Dice per class, IoU, and image-level errors.

    Examples: `sever evaluate -r saved/lite0-unet`,
    `sever evaluate --data D --labels D/test_labels.csv -s out/submission.csv`
    """
    from sever.pipeline.evaluate import Truth, evaluate_run, evaluate_submission, render
    from sever.pipeline.inference.options import InferenceOptions

    if (submission is None) == (run is None):
        raise InputError("give either -s SUBMISSION or -r RUN")
    if data is None and run is not None and (labels is not None or include):
        raise InputError("--labels and --include are about the images of a data set: give --data ROOT too")
    truth = Truth(data, labels, tuple(include or ()), num_classes) if data is not None else None
    if run is not None:
        evaluation = evaluate_run(run, truth, output, InferenceOptions(device, precision, max_pixels=max_pixels))
    elif truth is None or submission is None:
        raise InputError("a submission is scored against labels: give --data ROOT, and --labels CSV for test images")
    else:
        evaluation = evaluate_submission(submission, truth, output, max_pixels or MAX_PIXELS)
    say(json.dumps(evaluation, indent=2) if as_json else render(evaluation))


@app.command()
def demo(
    output: Output = Path("demo"),
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="Experiment YAML, instead of those that come with sever; repeatable."),
    ] = None,
    set_: Set = None,
    device: Device = "auto",
) -> None:
    """Run the whole workflow on synthetic strip, from no data to scored masks, in a few minutes on two cores."""
    from sever.pipeline.demo import run_demo

    configs = config or sorted((Path(__file__).parents[1] / "pipeline").glob("demo-*.yml"), reverse=True)
    say(run_demo(load_experiments(configs, set_), output, device))
