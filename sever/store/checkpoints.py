"""Checkpoints as safetensors and JSON, never pickled code; knows not what the numbers mean."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sever.errors import InputError
from sever.files import atomic_folder
from sever.models.checkpoint import Snapshot
from sever.output import OutputFolder
from sever.store.records import CheckpointRecord, HistoryRow


def save_checkpoint(folder: Path, snapshot: Snapshot, history: Sequence[HistoryRow]) -> None:
    """Write a checkpoint as a whole or not at all: a temporary folder, renamed when complete."""
    with atomic_folder(folder) as temporary:
        _write_state(temporary, snapshot.values | {"history": history})
        _save(snapshot.weights, temporary / "model.safetensors")
        _save(snapshot.training, temporary / "training.safetensors")


def save_weights(folder: Path, weights: dict[str, Any], about: dict[str, Any]) -> None:
    """Write weights that can predict but not go on training. Raises InputError where the folder holds other files."""
    before = OutputFolder(folder)
    before.claim(before.everything())
    with atomic_folder(folder) as temporary:
        _write_state(temporary, about)
        _save(weights, temporary / "model.safetensors")
        home = OutputFolder(temporary)
        home.adopt(home.everything())


def load_checkpoint(folder: Path) -> Snapshot:
    """Read a checkpoint back. Raises InputError when it is damaged, or holds weights only."""
    state = CheckpointRecord.of_folder(folder)
    if state.param_groups is None or state.position is None:
        kind = "averaged" if state.imported is None else "imported"
        raise InputError(f"{folder} holds {kind} weights: they can predict, but training can't continue from them")
    return Snapshot(load_weights_file(folder), _load(folder / "training.safetensors"), state.model_dump())


def load_weights_file(folder: Path) -> dict[str, Any]:
    return _load(folder / "model.safetensors")


def _write_state(folder: Path, values: dict[str, Any]) -> None:
    # By way of JSON, in which the optimiser's tuples are the lists that they are read back as.
    CheckpointRecord.parse(json.dumps(values), str(folder)).write(folder / "state.json")


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
    shutil.copymode(path.with_name("state.json"), path)  # safetensors makes files that nobody else may read
