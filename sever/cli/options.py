"""Words that several commands share: their options, once."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sever.config import DataSettings, ExperimentConfig, load_config, parse_config, read_assignments
from sever.config.overrides import with_overrides
from sever.errors import InputError


class CsvForm(StrEnum):
    combined = "combined"
    separate = "separate"


class Precision(StrEnum):
    auto = "auto"
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


class Engine(StrEnum):
    local = "local"
    ray = "ray"


class ToolFormat(StrEnum):
    coco = "coco"
    cvat = "cvat"
    label_studio = "label-studio"
    yolo = "yolo"
    labelme = "labelme"
    masks = "masks"
    severstal = "severstal"


class Frequencies(StrEnum):
    real = "real"
    balanced = "balanced"


Configs = Annotated[
    list[Path], typer.Option("--config", "-c", help="Experiment YAML; give several to run one after another.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a setting, e.g. train.epochs=20, written as in YAML; repeatable."
    ),
]
DataRoot = Annotated[Path | None, typer.Option("--data", help="Override data.root: the data set's folder.")]
RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="The folder itself, instead of one below --saved; what was begun there with the same settings resumes.",
    ),
]
RunPath = Annotated[
    Path,
    typer.Option("--run", "-r", help="A run's folder (its best checkpoint), a checkpoint's folder, or saved/NAME."),
]
ModelPath = Annotated[
    Path,
    typer.Option(
        "--run",
        "--model",
        "-r",
        help="A bundle, a run's folder (its best checkpoint), a checkpoint's folder, a cross-validation, a blend, or "
        "saved/NAME.",
    ),
]
# The first word of commands that look at answers to images which no network has learnt from.
Candidate = Annotated[
    Path | None,
    typer.Argument(help="Folder of a cross-validation or a blend, or a run (its validation images)."),
]
# For commands whose first word is a model: the same with -r, as all others have it.
SameModel = Annotated[
    Path | None, typer.Option("--run", "--model", "-r", help="The same as the first argument, as in other commands.")
]
BundleArgument = Annotated[Path | None, typer.Argument(help="The file, or the folder that it was unpacked to.")]
BackendOption = Annotated[
    str | None,
    typer.Option(
        help="For a bundle: onnx, openvino-f32, openvino-bf16, openvino-int8 or torch; by default torch on a GPU, else "
        "the fastest of full precision."
    ),
]
Device = Annotated[str, typer.Option(help="auto (the best available), cpu, cuda, cuda:1, mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output instead of text.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", help="Keep only images whose id matches this glob; repeatable."),
]
LEDGER = Path("saved") / "leaderboard.jsonl"
Ledger = Annotated[Path, typer.Option(help="The leaderboard's file of records; append-only.")]
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Leave bad images out and list them in a file, instead of an error."),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(help="Largest image in pixels, instead of the run's data.max_pixels; a larger one is a fault.", min=1),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        help="Override the configured mixed precision; auto: bf16 where the device has units for it, else no. fp16 "
        "needs a GPU."
    ),
]


def the_model(first_word: Path | None, option: Path | None, what: str = "a model") -> Path:
    """The one of both that was given. Raises InputError for none, and for both."""
    given = [path for path in (first_word, option) if path is not None]
    if len(given) != 1:
        both = "is given twice" if given else "is missing"
        raise InputError(f"{what} {both}: give its path once, as the first word or with -r")
    return given[0]


def raise_unless_single(configs: Sequence[Path], output: Path | None) -> None:
    if output is not None and len(configs) > 1:
        raise InputError(f"-o {output} is the folder of one experiment, and {len(configs)} are given; give one -c")


def load_experiments(paths: Sequence[Path], set_: Sequence[str] | None, **options: Any) -> list[ExperimentConfig]:
    """All experiments, with --set and the options of single settings over them, before the first of them is begun.

    `options` are named as settings with `__` for the dot; None was not given.
    """
    overrides = {name.replace("__", "."): value for name, value in options.items()}
    assigned = read_assignments(set_ or ())
    return [load_config(path, overrides, assigned) for path in paths]


def experiments_to_train(
    config: Sequence[Path] | None,
    output: Path | None,
    set_: Sequence[str] | None,
    data: Path | None,
    skip_bad: bool,
    **options: Any,
) -> list[ExperimentConfig]:
    """`load_experiments` with what `train` and `crossval` share; `output` is the folder of one of them alone."""
    raise_unless_single(config or [], output)
    return load_experiments(config or [], set_, data__root=data, data__skip_bad=skip_bad or None, **options)


def load_data(set_: Sequence[str] | None, **options: Any) -> DataSettings:
    """The settings of a data set without an experiment: its options, and --set data.KEY=VALUE."""
    overrides = {f"data.{name}": value for name, value in options.items()}
    return parse_config(with_overrides({"name": "data"}, overrides, read_assignments(set_ or ())), "the options").data
