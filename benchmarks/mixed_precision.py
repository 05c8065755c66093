"""Claim: training in bf16 converges like training in fp32, and faster (the 2019 author could not make it converge).

    python benchmarks/mixed_precision.py
    python benchmarks/mixed_precision.py --data ../shared/data/neu_seg --include 'training/*' --crop 192 192
    python benchmarks/mixed_precision.py --yardstick

Trains one small model twice by `sever train` itself, from the same seed on the same data, and prints the losses and
the validation Dice of both, epoch by epoch; the only difference is `train.precision`. Without --data it learns from
synthetic strip. Two trainings of different rounding part after some steps as two seeds would: `--yardstick` trains in
fp32 from another seed too, and shows how much is chance.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from common import QUICK_ENCODER, describe_machine, make_parser, parse, print_ratio, print_table, write_strip

from sever.config import (
    AugmentSettings,
    DataSettings,
    ExperimentConfig,
    FoldSettings,
    ModelSettings,
    OptimSettings,
    PredictSettings,
    RuleSettings,
    TrainSettings,
)
from sever.pipeline.train.starting import train_experiment

FP32, BF16, YARDSTICK = "fp32", "bf16", "fp32, other seed"
PRECISIONS = {FP32: "no", BF16: "bf16", YARDSTICK: "no"}
# What a training may lose by its rounding: no more than another seed would change.
ALIKE = 0.95


@dataclass(frozen=True)
class Training:
    history: pd.DataFrame
    seconds: float

    @property
    def epoch_seconds(self) -> float:
        """Validation included, without the first epoch, which also warms up."""
        return float(self.history["seconds"].iloc[-max(1, len(self.history) - 1) :].median())


def make_config(options: argparse.Namespace, root: Path, name: str) -> ExperimentConfig:
    precision = PRECISIONS[name]
    return ExperimentConfig(
        name=f"precision-{precision}",
        data=DataSettings(root=root, include=tuple(options.include)),
        folds=FoldSettings(share=0.2),
        augment=AugmentSettings(recipe="light", crop=tuple(options.crop)),
        model=ModelSettings(
            encoder=options.encoder, weights=options.weights, decoder_channels=tuple(options.decoder_channels)
        ),
        optim=OptimSettings(encoder_learning_rate=options.encoder_learning_rate),
        train=TrainSettings(
            epochs=options.epochs,
            batch_size=options.batch,
            precision=precision,
            seed=options.seed + (name == YARDSTICK),
            workers=options.workers,
            keep_best=1,
        ),
        predict=PredictSettings(batch_size=4),
        rules=RuleSettings(min_pixels=0),
    )


def train(options: argparse.Namespace, root: Path, saved: Path, name: str) -> Training:
    """One training as a user has it, but for its progress lines."""
    start = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        run = train_experiment(make_config(options, root, name), saved / name, device="cpu")
    return Training(pd.read_csv(run.history_file), time.perf_counter() - start)


def tell_curves(trainings: dict[str, Training]) -> None:
    names = list(trainings)
    head = ["epoch", *(f"loss, {name}" for name in names), *(f"Dice, {name}" for name in names)]
    rows = []
    for epoch in range(len(trainings[FP32].history)):
        at = {name: training.history.iloc[epoch] for name, training in trainings.items()}
        cells = [f"{at[name][column]:.4f}" for column in ("train_loss", "dice") for name in names]
        rows.append([epoch + 1, *cells])
    print_table(head, rows)


def tell_differences(trainings: dict[str, Training]) -> None:
    """Every training against the plain one."""
    plain = trainings[FP32].history
    for name, training in trainings.items():
        if name == FP32:
            continue
        losses = np.abs(training.history["train_loss"] - plain["train_loss"]).max()
        best = training.history["dice"].max(), plain["dice"].max()
        print(
            f"{name} against fp32: best Dice {best[0]:.4f} against {best[1]:.4f}, largest difference of an epoch's "
            f"loss {losses:.4f}, {training.seconds:.0f} s against {trainings[FP32].seconds:.0f} s in all"
        )


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, help="a data set in either layout; synthetic strip without it")
    parser.add_argument("--include", nargs="*", default=[], help="globs of image ids to keep, as in data.include")
    parser.add_argument("--images", type=int, default=140, help="synthetic images, a fifth of them to validate")
    parser.add_argument("--height", type=int, default=128, help="of synthetic images, in pixels")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--crop", type=int, nargs=2, default=(128, 256), help="height and width in pixels")
    parser.add_argument("--encoder", default="tf_efficientnet_lite0", help="of a Unet")
    parser.add_argument("--weights", default="offline", help="offline, hub, none, or a file")
    parser.add_argument("--decoder-channels", type=int, nargs=5, default=(64, 48, 32, 24, 16))
    parser.add_argument("--encoder-learning-rate", type=float, default=4e-4)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--yardstick", action="store_true", help="also train in fp32 from the next seed")
    quick = {"images": 15, "height": 64, "width": 128, "crop": (64, 64), "encoder": QUICK_ENCODER, "weights": "none"}
    options = parse(parser, quick | {"decoder_channels": (16, 8, 8, 8, 8), "epochs": 2, "workers": 0})
    print(describe_machine())
    names = [FP32, BF16, *([YARDSTICK] if options.yardstick else [])]
    with tempfile.TemporaryDirectory() as folder:
        root = options.data
        if root is None:
            root = Path(folder) / "data"
            write_strip(root, options.images, options.height, options.width, options.seed)
        print(f"Unet {options.encoder}, {options.epochs} epochs on {options.data or 'synthetic strip'}")
        trainings = {name: train(options, root, Path(folder), name) for name in names}
    tell_curves(trainings)
    tell_differences(trainings)
    speed = trainings[FP32].epoch_seconds / trainings[BF16].epoch_seconds
    print(f"an epoch in fp32 takes {speed:.2f} times as long as in bf16 (validation included, both channels_last)")
    dice = trainings[BF16].history["dice"].max() / trainings[FP32].history["dice"].max()
    print_ratio(float(dice), "best validation Dice in bf16 over that in fp32", ALIKE)


if __name__ == "__main__":
    main()
