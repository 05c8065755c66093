"""The words a user types; each command calls one pipeline function. Heavy imports happen inside the commands."""

from __future__ import annotations

import errno
import json
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sever import __version__
from sever.config import dump_config, json_schema, load_config
from sever.errors import InputError

app = typer.Typer(
    name="sever",
    help="Find surface defects on steel strip: train, predict, score and deliver segmentation models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Show, check and describe configurations.", no_args_is_help=True)
app.add_typer(config_app, name="config")


class CsvForm(StrEnum):
    combined = "combined"
    separate = "separate"


class Precision(StrEnum):
    bf16 = "bf16"
    fp16 = "fp16"
    no = "no"


class Flip(StrEnum):
    width = "width"
    height = "height"
    both = "both"
    none = "none"


class Split(StrEnum):
    train = "train"
    test = "test"


class Frequencies(StrEnum):
    real = "real"
    balanced = "balanced"


Configs = Annotated[
    list[Path], typer.Option("--config", "-c", help="Experiment YAML; give several to run one after another.")
]
RunPath = Annotated[
    Path,
    typer.Option("--run", "-r", help="A run's folder (its best checkpoint), a checkpoint's folder, or saved/NAME."),
]
Device = Annotated[str, typer.Option(help="auto (the best there is), cpu, cuda, cuda:1, mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output in place of a table.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", help="Keep only images whose id matches this glob; repeatable."),
]
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Leave bad images out and list them in a file, in place of an error."),
]
PrecisionOption = Annotated[
    Precision | None, typer.Option(help="Override the configured mixed precision; fp16 needs a GPU.")
]


def main() -> None:
    """Entry point: a fault the user can mend is one message and exit code 2, without a traceback; ours is 1."""
    try:
        app()
    except InputError as error:
        _refuse(str(error))
    except OSError as error:
        if not _lies_with_the_disk(error):
            _confess()
        path = error.filename2 or error.filename  # a rename that fails does so because of its target
        _refuse(f"{path}: {error.strerror}" if path else str(error.strerror))
    except Exception:
        _confess()


def _refuse(message: str) -> NoReturn:
    for line in message.splitlines():
        print(f"sever: error: {line}", file=sys.stderr)
    sys.exit(2)


def _confess() -> NoReturn:
    traceback.print_exc()
    print("sever: this is our fault, not yours; please report it with the lines above", file=sys.stderr)
    sys.exit(1)


def _lies_with_the_disk(error: OSError) -> bool:
    """Whether a path or a disk that the user chose is at fault: not there, not ours to write, full, of another kind."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return error.errno is not None and (error.filename is not None or error.errno in full)


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def synth(
    output: Output,
    train: Annotated[int, typer.Option(help="Number of training images.")] = 400,
    test: Annotated[int, typer.Option(help="Number of test images; their labels go to test_labels.csv.")] = 100,
    height: Annotated[int, typer.Option(help="Height of an image in pixels.")] = 256,
    width: Annotated[int, typer.Option(help="Width of an image in pixels.")] = 1600,
    frequencies: Annotated[
        Frequencies,
        typer.Option(help="How often the classes occur: as in the competition, or equally often."),
    ] = Frequencies.real,
    form: Annotated[CsvForm, typer.Option(help="Form of train.csv.")] = CsvForm.combined,
    seed: Annotated[int, typer.Option(help="The same seed makes the same images.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; 0 means one a core.", min=0)] = 0,
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
    print(synthesize(output, settings))


@app.command()
def train(
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="Experiment YAML; give several to train one after another."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", "-r", help="Resume this run, or from this checkpoint, exactly.")
    ] = None,
    saved: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("saved"),
    seed: Annotated[int | None, typer.Option(help="Override train.seed.")] = None,
    precision: PrecisionOption = None,
    skip_bad: SkipBad = False,
    device: Device = "auto",
) -> None:
    """Train one or several experiments, or resume one. Each run gets a folder saved/NAME/TIMESTAMP.

    Examples: `sever train -c experiments/lite0-unet.yml`, `sever train -r saved/lite0-unet`
    """
    if bool(config) == (run is not None):
        raise InputError("give either -c CONFIG (one or more) to start, or -r RUN to resume")
    if run is not None:
        if seed is not None or precision is not None or skip_bad:
            raise InputError("a resumed run keeps its own settings: leave --seed, --precision and --skip-bad out")
        from sever.pipeline.train import resume

        print(resume(run, device).folder)
        return
    overrides = {"train.seed": seed, "train.precision": precision, "data.skip_bad": skip_bad or None}
    experiments = [load_config(path, overrides) for path in config or []]  # all are checked before the first trains
    from sever.pipeline.train import train_experiment

    for experiment in experiments:
        print(train_experiment(experiment, saved, device).folder)


@app.command()
def average(
    run: RunPath,
    best: Annotated[int, typer.Option(help="How many of the best checkpoints to average.", min=2)] = 3,
) -> None:
    """Average the weights of a run's best checkpoints into a new one, to be named with -r elsewhere.

    Example: `sever average -r saved/lite0-unet --best 3`
    """
    from sever.pipeline.train import average_checkpoints

    print(average_checkpoints(run, best))


@app.command()
def predict(
    run: RunPath,
    output: Output,
    images: Annotated[Path | None, typer.Option(help="Folder of images of any layout, searched recursively.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data set root in a known layout, in place of --images.")] = None,
    split: Annotated[Split, typer.Option(help="With --data: which images.")] = Split.test,
    include: Include = None,
    form: Annotated[CsvForm, typer.Option(help="Form of submission.csv.")] = CsvForm.combined,
    flip: Annotated[
        list[Flip] | None,
        typer.Option(help="Also average this flip; repeatable; `none` for no flip at all."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a batch.", min=1)] = None,
    sheet: Annotated[int, typer.Option(help="Draw this many images with found defects into sheet.png.", min=0)] = 12,
    skip_bad: SkipBad = False,
    overwrite: Annotated[bool, typer.Option(help="Replace the maps of another run in the output folder.")] = False,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Predict probability maps (probs/ID.png) and submission.csv. An interrupted prediction goes on where it stopped.

    Example: `sever predict -r saved/lite0-unet --images my/images -o out`
    """
    from sever.pipeline.inspection import How
    from sever.pipeline.predict import Source, predict_images

    source = Source(images, data, split.value, tuple(include or ()), skip_bad)
    flips = None if flip is None else tuple(name.value for name in flip if name is not Flip.none)
    how = How(device, precision, flips, batch_size)
    print(predict_images(run, source, output, form.value, how, sheet_images=sheet, overwrite=overwrite))


@app.command()
def evaluate(
    submission: Annotated[Path | None, typer.Option("--submission", "-s", help="Submission CSV to score.")] = None,
    run: Annotated[
        Path | None, typer.Option("--run", "-r", help="Run or checkpoint to score, in place of a submission.")
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
        int | None, typer.Option(help="Number of classes, where the data set and its labels don't say it.", min=1)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write scores.json, images.csv and sheet.png here."),
    ] = None,
    as_json: AsJson = False,
    precision: PrecisionOption = None,
    device: Device = "auto",
) -> None:
    """Score a submission or a run against labels: the competition's Dice, Dice per class, IoU, and image-level errors.

    Examples: `sever evaluate -r saved/lite0-unet`,
    `sever evaluate --data D --labels D/test_labels.csv -s out/submission.csv`
    """
    from sever.pipeline.evaluate import Truth, evaluate_run, evaluate_submission, render
    from sever.pipeline.inspection import How

    if (submission is None) == (run is None):
        raise InputError("give either -s SUBMISSION or -r RUN")
    if data is None and run is not None and (labels is not None or include):
        raise InputError("--labels and --include are about the images of a data set: give --data ROOT too")
    truth = Truth(data, labels, tuple(include or ()), num_classes) if data is not None else None
    if run is not None:
        evaluation = evaluate_run(run, truth, output, How(device, precision))
    elif truth is None or submission is None:
        raise InputError("a submission is scored against labels: give --data ROOT, and --labels CSV for test images")
    else:
        evaluation = evaluate_submission(submission, truth, output)
    print(json.dumps(evaluation, indent=2) if as_json else render(evaluation))


@app.command()
def demo(
    output: Output = Path("demo"),
    config: Annotated[
        Path, typer.Option("--config", "-c", help="Experiment YAML, in place of the one that comes with sever.")
    ] = Path(__file__).parent / "pipeline" / "demo.yml",
    device: Device = "auto",
) -> None:
    """The main job on synthetic strip, from nothing to scored masks, in a few minutes on two cores."""
    from sever.pipeline.demo import run_demo

    print(run_demo(load_config(config), output, device))


@config_app.command("show")
def config_show(config: Configs) -> None:
    """Print an experiment's whole configuration, defaults included."""
    for path in config:
        print(dump_config(load_config(path)))


@config_app.command("check")
def config_check(config: Configs) -> None:
    """Check configurations without running anything; exit code 2 and a line for every fault."""
    faults = []
    for path in config:
        try:
            load_config(path)
            print(f"{path}: good")
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join(faults))


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of an experiment's YAML, for editors that complete and check as you type."""
    print(json.dumps(json_schema(), indent=2))


@config_app.command("reference")
def config_reference() -> None:
    """Print the reference of every setting as Markdown (docs/reference.md)."""
    from sever.reference import reference

    print(reference(), end="")


if __name__ == "__main__":
    main()
