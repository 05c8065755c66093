"""The weights of a run's best checkpoints as one more checkpoint."""

from __future__ import annotations

from pathlib import Path

from sever.config import load_config
from sever.errors import InputError
from sever.locks import one_writer
from sever.models.checkpoint import average_weights
from sever.store import find_run
from sever.store.checkpoints import load_weights_file, save_weights
from sever.store.records import CheckpointRecord


def average_checkpoints(path: Path, count: int) -> Path:
    """Average the weights of the best `count` checkpoints of a run; returns the new checkpoint's folder."""
    run, _ = find_run(path)
    latest = run.latest()
    history = CheckpointRecord.of_folder(latest).scored(latest) if latest else ()
    monitor = load_config(run.config_file).train.monitor
    there = set(run.epochs())
    scored = [row for row in history if row.get(monitor) is not None and int(row["epoch"]) in there]
    if len(scored) < count:
        raise InputError(
            f"{run.folder} keeps {len(scored)} scored checkpoints, but {count} are to be averaged; "
            "train with train.keep_best or train.keep_every set higher, or average fewer"
        )
    best = sorted(scored, key=lambda row: -row[monitor])[:count]
    epochs = sorted(int(row["epoch"]) for row in best)
    weights = average_weights([load_weights_file(run.epoch_folder(epoch)) for epoch in epochs])
    folder = run.checkpoints / f"average-{count}"
    with one_writer(run.folder):
        save_weights(folder, weights, {"averaged_epochs": epochs})
    return folder
