"""Where things lie: runs, checkpoints and probability maps as folders and files; knows not what the numbers mean.

saved/NAME/TIMESTAMP/
    config.yml  dataset.json  rules.json  environment.json  folds.csv  history.csv  train.log  skipped.csv
    tensorboard/
    checkpoints/epoch-0001/  model.safetensors  training.safetensors  state.json
    checkpoints/step-0000123/  the same, saved within an epoch; replaced by the next one
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sever.errors import InputError
from sever.files import atomic_folder, atomic_path, write_json
from sever.models.checkpoint import Snapshot

_EPOCH_FOLDER = re.compile(r"epoch-(\d+)")


@dataclass(frozen=True)
class Run:
    """The folder of one training run."""

    folder: Path

    @staticmethod
    def create(saved: Path, name: str) -> Run:
        """A new folder saved/NAME/TIMESTAMP, never one that is already there."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for attempt in range(1000):
            folder = saved / name / (stamp if attempt == 0 else f"{stamp}-{attempt}")
            try:
                folder.mkdir(parents=True)
                return Run(folder)
            except FileExistsError:
                continue
        raise AssertionError(f"a thousand runs named {name} in one second")

    @property
    def config_file(self) -> Path:
        return self.folder / "config.yml"

    @property
    def dataset_file(self) -> Path:
        return self.folder / "dataset.json"

    @property
    def rules_file(self) -> Path:
        return self.folder / "rules.json"

    @property
    def folds_file(self) -> Path:
        return self.folder / "folds.csv"

    @property
    def history_file(self) -> Path:
        return self.folder / "history.csv"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def part(self, part: str) -> list[str]:
        """The ids of the images that `train` or that make up the `validation`."""
        folds = pd.read_csv(self.folds_file, dtype={"image_id": str, "group": str})
        return folds.loc[folds["part"] == part, "image_id"].tolist()

    def epoch_folder(self, epoch: int) -> Path:
        """`epoch` counts from 1, as people do."""
        return self.checkpoints / f"epoch-{epoch:04d}"

    def epochs(self) -> list[int]:
        """The epochs with a finished checkpoint, ascending, counted from 1."""
        names = [path.name for path in self.checkpoints.glob("epoch-*")] if self.checkpoints.is_dir() else []
        return sorted(int(match[1]) for match in map(_EPOCH_FOLDER.fullmatch, names) if match)

    def step_folder(self, optimizer_step: int) -> Path:
        return self.checkpoints / f"step-{optimizer_step:07d}"

    def latest(self) -> Path | None:
        """The checkpoint from which training goes on: the one that has come furthest."""
        folders = [self.epoch_folder(epoch) for epoch in self.epochs()[-1:]]
        folders += self.checkpoints.glob("step-*")
        return max(folders, key=_progress, default=None)

    def best(self) -> Path:
        """The checkpoint with the best monitored score; the latest where none was scored yet."""
        latest = self.latest()
        if latest is None:
            raise InputError(f"run {self.folder} has no checkpoint yet; go on with: sever train -r {self.folder}")
        best_epoch = read_json(latest / "state.json")["position"]["best_epoch"]
        best = self.epoch_folder(best_epoch + 1) if best_epoch is not None else latest
        return best if best.is_dir() else latest

    def keep(self, epochs: set[int], step: int | None = None) -> None:
        """Delete every other epoch's checkpoint, and those within an epoch but for `step`."""
        unwanted = [self.epoch_folder(epoch) for epoch in set(self.epochs()) - epochs]
        unwanted += set(self.checkpoints.glob("step-*")) - ({self.step_folder(step)} if step is not None else set())
        for folder in unwanted:
            shutil.rmtree(folder)

    def clean(self) -> None:
        """Remove what a killed process left half-written."""
        for leftover in self.checkpoints.glob(".*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)


def find_run(path: Path) -> tuple[Run, Path | None]:
    """The run that `path` means, and the checkpoint if it names one.

    `path` is a run's folder, a checkpoint's folder, a file in it, or saved/NAME (its newest run). Raises InputError.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; give a run's folder (saved/NAME/TIMESTAMP) or one of its checkpoints")
    folder = path if path.is_dir() else path.parent
    if (folder / "state.json").is_file():
        return Run(folder.parent.parent), folder
    if (folder / "config.yml").is_file():
        return Run(folder), None
    newest = sorted(child for child in folder.iterdir() if (child / "config.yml").is_file())
    if newest:
        return Run(newest[-1]), None
    raise InputError(f"{path} is neither a run (it has no config.yml) nor a checkpoint (it has no state.json)")


def save_checkpoint(folder: Path, snapshot: Snapshot, about: dict[str, Any]) -> None:
    """Write a checkpoint as a whole or not at all: a temporary folder, renamed when complete."""
    with atomic_folder(folder) as temporary:
        _save(snapshot.weights, temporary / "model.safetensors")
        _save(snapshot.training, temporary / "training.safetensors")
        write_json(temporary / "state.json", snapshot.values | about)


def save_weights(folder: Path, weights: dict[str, Any], about: dict[str, Any]) -> None:
    """Write weights that can predict but not go on training."""
    with atomic_folder(folder) as temporary:
        _save(weights, temporary / "model.safetensors")
        write_json(temporary / "state.json", about)


def load_checkpoint(folder: Path) -> Snapshot:
    """Read a checkpoint back. Raises InputError when it is damaged, or holds weights only."""
    values = read_json(folder / "state.json")
    if "param_groups" not in values:
        raise InputError(f"{folder} holds averaged weights: they can predict, but training can't go on from them")
    return Snapshot(load_weights_file(folder), _load(folder / "training.safetensors"), values)


def load_weights_file(folder: Path) -> dict[str, Any]:
    return _load(folder / "model.safetensors")


def fingerprint(folder: Path) -> str:
    """SHA-256 of a checkpoint's weights."""
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _load(path: Path) -> dict[str, Any]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read weights {path}: {error}") from error


def _save(tensors: dict[str, Any], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as error:  # as which a full disk comes
        raise InputError(f"cannot write weights {path.parent}: {error}") from error


def _progress(folder: Path) -> tuple[int, int]:
    position = read_json(folder / "state.json")["position"]
    return position["epoch"], position["batch"]


@dataclass(frozen=True)
class ProbabilityStore:
    """Probability maps as 8-bit grey PNGs, the classes of an image stacked from top to bottom.

    One file an image, written atomically, so that an interrupted prediction goes on where it stopped; a person can
    open them. A value q stands for the probability q / 255: the error is at most 1/510.
    """

    folder: Path

    def path(self, image_id: str) -> Path:
        return self.folder / f"{image_id}.png"

    def __contains__(self, image_id: str) -> bool:
        return self.path(image_id).is_file()

    def write(self, image_id: str, levels_chw: np.ndarray) -> None:
        """`levels_chw`: (C, H, W) uint8."""
        classes, height, width = levels_chw.shape
        stacked = levels_chw.reshape(classes * height, width)
        encoded, buffer = cv2.imencode(".png", stacked, [cv2.IMWRITE_PNG_COMPRESSION, 4])
        assert encoded
        with atomic_path(self.path(image_id)) as temporary:
            temporary.write_bytes(buffer.tobytes())

    def read(self, image_id: str, num_classes: int) -> np.ndarray:
        """(C, H, W) uint8. Raises InputError for a missing or damaged map."""
        path = self.path(image_id)
        content = path.read_bytes() if path.is_file() else b""
        stacked = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
        if stacked is None or stacked.ndim != 2 or len(stacked) % num_classes:
            raise InputError(f"no usable map of {num_classes} classes at {path}; delete it and predict again")
        return stacked.reshape(num_classes, -1, stacked.shape[1])

    def __iter__(self) -> Iterator[str]:
        for path in sorted(self.folder.rglob("*.png")):
            if not path.name.startswith("."):
                yield path.relative_to(self.folder).as_posix().removesuffix(".png")
