"""The folder of one training run, and which checkpoint a path means; knows not what the numbers mean.

saved/NAME/TIMESTAMP/
    config.yml  dataset.json  rules.json  environment.json  folds.csv  history.csv  train.log  skipped.csv  pseudo.csv
    .sever-tables.json  created.json
    tensorboard/
    checkpoints/epoch-0001/  model.safetensors  training.safetensors  state.json
    checkpoints/step-0000123/  the same, saved within an epoch; replaced by the next one
"""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sever.errors import InputError
from sever.files import sha256_of
from sever.near_names import missing
from sever.store.bundle.container import is_bundle
from sever.store.order import in_order, make_numbered
from sever.store.records import CheckpointRecord, PositionRecord
from sever.store.tables import RUN_FOLDS, read_table_file

_EPOCH_FOLDER = re.compile(r"epoch-(\d+)")


@dataclass(frozen=True)
class Run:
    """The folder of one training run."""

    folder: Path

    @staticmethod
    def create(saved: Path, name: str) -> Run:
        """A new folder saved/NAME/TIMESTAMP, never one that is already there."""
        return Run(make_numbered(saved / name, time.strftime("%Y%m%d-%H%M%S")))

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
    def pseudo_file(self) -> Path:
        """A copy of the pseudo-labels that the run trains with, if any."""
        return self.folder / "pseudo.csv"

    @property
    def history_file(self) -> Path:
        return self.folder / "history.csv"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def part(self, part: str) -> list[str]:
        """The ids of the images that `train`, that make up the `validation`, or that train as `pseudo`-labelled."""
        folds = self._read_folds()
        return folds.loc[folds["part"] == part, "image_id"].tolist()

    def label_digests(self) -> dict[str, str]:
        """By image, a hash of the labels that the run began with; empty for runs that kept none."""
        folds = self._read_folds()
        return dict(zip(folds["image_id"], folds["labels"], strict=True)) if "labels" in folds else {}

    def _read_folds(self) -> pd.DataFrame:
        return read_table_file(self.folds_file, RUN_FOLDS)

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
            raise InputError(f"run {self.folder} has no checkpoint yet; resume with: sever train -r {self.folder}")
        best_epoch = _position(latest).best_epoch
        best = self.epoch_folder(best_epoch + 1) if best_epoch is not None else latest
        return best if best.is_dir() else latest

    def keep(self, epochs: set[int], step: int | None = None) -> None:
        """Delete every other epoch's checkpoint, and those within an epoch but for `step`."""
        unwanted = [self.epoch_folder(epoch) for epoch in set(self.epochs()) - epochs]
        unwanted += set(self.checkpoints.glob("step-*")) - ({self.step_folder(step)} if step is not None else set())
        for folder in unwanted:
            # Out of sight first: killed in the middle, half a checkpoint would be left to go on from.
            doomed = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
            folder.rename(doomed)
            shutil.rmtree(doomed)

    def clean(self) -> None:
        """Remove what a killed process left half-written."""
        for leftover in self.checkpoints.glob(".*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)


def find_run(path: Path) -> tuple[Run, Path | None]:
    """The run that `path` means, and the checkpoint if it names one.

    `path` is a run's folder, a checkpoint's folder, a file in it, or saved/NAME (its newest run). Raises InputError.
    """
    if not path.exists():
        raise InputError(
            f"{missing(path, 'file or folder')}; give a run's folder (saved/NAME/TIMESTAMP) or one of its checkpoints"
        )
    folder = path if path.is_dir() else path.parent
    if (folder / "state.json").is_file():
        return Run(folder.parent.parent), folder
    if (folder / "config.yml").is_file():
        return Run(folder), None
    newest = in_order(folder, "config.yml")
    if newest:
        return Run(newest[-1]), None
    if is_bundle(path):
        raise InputError(f"{path.absolute()} is a bundle; what is wanted here is the run that it was made of")
    raise InputError(
        f"{path.absolute()} is neither a run (it has no config.yml) nor a checkpoint (it has no state.json)"
    )


def fingerprint(folder: Path) -> str:
    """SHA-256 of a checkpoint's weights."""
    return sha256_of(folder / "model.safetensors")


def _progress(folder: Path) -> tuple[int, int]:
    position = _position(folder)
    return position.epoch, position.batch


def _position(folder: Path) -> PositionRecord:
    position = CheckpointRecord.of_folder(folder).position
    if position is None:
        raise InputError(f"{folder}/state.json is damaged: it lacks `position`; {CheckpointRecord.what_to_do}")
    return position
