"""A run without training: a tiny network with random weights, in the folders that `sever train` leaves."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import torch

from sever.config import RuleSettings, dump_config, parse_config, parse_rules
from sever.files import write_json, write_text
from sever.models.reports import Position
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.trained import new_network
from sever.store import Run
from sever.store.checkpoints import save_weights

NETWORK = {"encoder": "mobilenet_v2", "weights": "none", "decoder_channels": [8, 8, 8, 4, 4]}
FACTS = DatasetFacts(("1", "2", "3", "4"), (0.35,), (0.15,))


def make_run(
    folder: Path,
    data_root: Path,
    seed: int = 0,
    epochs: tuple[int, ...] = (1,),
    model: dict[str, Any] | None = None,
    **predict: Any,
) -> Path:
    """Write a run's folder, saved/NAME/TIMESTAMP, with a checkpoint of each of the epochs; returns `folder`."""
    config = parse_config(
        {
            "name": folder.parent.name,
            "data": {"root": str(data_root)},
            "model": model or NETWORK,
            "train": {"precision": "no"},
            "predict": predict,
            "rules": {"min_pixels": 0},
        },
        "make_run",
    )
    run = Run(folder)
    folder.mkdir(parents=True)
    write_text(run.config_file, dump_config(config))
    names = {"class_names": list(FACTS.class_names), "mean": list(FACTS.mean), "std": list(FACTS.std)}
    write_json(run.dataset_file, names)
    # Random weights say about a half everywhere, so that masks are neither empty nor full.
    rules = RuleSettings(min_pixels=(0,) * FACTS.num_classes)
    write_json(run.rules_file, rules.model_dump(mode="json"))
    for epoch in epochs:
        torch.manual_seed(1000 * seed + epoch)
        weights = {name: value.contiguous() for name, value in new_network(config, FACTS, False).state_dict().items()}
        position = vars(Position(epoch=epoch, best_epoch=max(epochs) - 1))
        save_weights(run.epoch_folder(epoch), weights, {"position": position})
    return folder


def make_blend(
    folder: Path, members: list[Path], weights: tuple[float, ...] = (), gate: dict[str, Any] | None = None
) -> Path:
    """Write what predicting needs of a blend's folder; returns `folder`."""
    about = {
        "kind": "blend",
        "name": folder.name,
        "class_names": list(FACTS.class_names),
        "members": [os.path.relpath(member, folder) for member in members],
        "blend": {"kind": "mean", "weights": list(weights), "power": 2.0},
    }
    write_json(folder / "evidence.json", about)
    rules = parse_rules({"min_pixels": [5] * 4, "gate": gate or {}}, "make_blend")
    write_json(folder / "rules.json", rules.model_dump(mode="json"))
    return folder


def make_crossval(folder: Path, data_root: Path, folds: int = 2, seed: int = 0) -> Path:
    """Write what predicting needs of a cross-validation's folder; returns `folder`."""
    for fold in range(folds):
        make_run(folder / f"fold-{fold}", data_root, seed=seed + fold)
    about = {
        "kind": "crossval",
        "name": folder.parent.name,
        "class_names": list(FACTS.class_names),
        "folds": list(range(folds)),
    }
    write_json(folder / "evidence.json", about)
    write_json(folder / "rules.json", RuleSettings(min_pixels=(7,) * 4).model_dump(mode="json"))
    return folder


def with_folds(run: Path, strip_root: Path) -> Path:
    """A run that knows which images it trained on and which it held out."""
    ids = sorted(path.name for path in (strip_root / "train_images").iterdir())
    rows = [(name, "", number % 4, "validation" if number % 4 == 0 else "train") for number, name in enumerate(ids)]
    with (run / "folds.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image_id", "group", "fold", "part"), *rows])
    return run
