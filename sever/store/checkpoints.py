"""Checkpoints as safetensors and JSON, never pickled code; knows not what the numbers mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sever.errors import InputError
from sever.files import atomic_folder, sha256_of, write_json
from sever.models.checkpoint import Snapshot
from sever.output import OutputFolder
from sever.store.json_file import read_json


def save_checkpoint(folder: Path, snapshot: Snapshot, about: dict[str, Any]) -> None:
    """Write a checkpoint as a whole or not at all: a temporary folder, renamed when complete."""
    with atomic_folder(folder) as temporary:
        _save(snapshot.weights, temporary / "model.safetensors")
        _save(snapshot.training, temporary / "training.safetensors")
        write_json(temporary / "state.json", snapshot.values | about)


def save_weights(folder: Path, weights: dict[str, Any], about: dict[str, Any]) -> None:
    """Write weights that can predict but not go on training. Raises InputError where the folder holds other files."""
    before = OutputFolder(folder)
    before.claim(before.everything())
    with atomic_folder(folder) as temporary:
        _save(weights, temporary / "model.safetensors")
        write_json(temporary / "state.json", about)
        home = OutputFolder(temporary)
        home.adopt(home.everything())


def load_checkpoint(folder: Path) -> Snapshot:
    """Read a checkpoint back. Raises InputError when it is damaged, or holds weights only."""
    values = read_json(folder / "state.json")
    if "param_groups" not in values:
        kind = "imported" if "imported" in values else "averaged"
        raise InputError(f"{folder} holds {kind} weights: they can predict, but training can't go on from them")
    return Snapshot(load_weights_file(folder), _load(folder / "training.safetensors"), values)


def load_weights_file(folder: Path) -> dict[str, Any]:
    return _load(folder / "model.safetensors")


def fingerprint(folder: Path) -> str:
    """SHA-256 of a checkpoint's weights."""
    return sha256_of(folder / "model.safetensors")


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
