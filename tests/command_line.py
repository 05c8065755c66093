"""A command typed by a test."""

from __future__ import annotations

import sys
from pathlib import Path

from sever.cli import main


def sever(*words: object) -> int:
    """Type a command; returns its exit code."""
    sys.argv = ["sever", *map(str, words)]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def train(experiment: Path, *more: object) -> int:
    """Train an experiment on the CPU into the folder saved/ beside it; returns the exit code."""
    return sever("train", "-c", experiment, "--saved", experiment.parent / "saved", "--device", "cpu", *more)


def quick_run(folder: Path, name: str, data: Path) -> Path:
    """The folder of a run of one epoch of a tiny network over a data set, made under `folder`."""
    experiment = folder / f"{name}.yml"
    experiment.write_text(
        f"name: {name}\ndata: {{root: {data}}}\nfolds: {{share: 0.25}}\n"
        "model: {encoder: resnet18, weights: none, decoder_channels: [16, 16, 8, 8, 8]}\n"
        "augment: {recipe: none, crop: [32, 64]}\nrules: {min_pixels: 0}\n"
        "train: {epochs: 1, batch_size: 4, workers: 0, precision: no}\n"
    )
    assert train(experiment) == 0
    (found,) = (folder / "saved" / name).iterdir()
    return found
