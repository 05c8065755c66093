"""nnU-Net v2 with its own plan, 2d, on the CPU, as long as the budget allows; in an environment of its own.

It is no dependency: --nnunet-python names its Python. It plans for a graphics card, so on a CPU its steps are few;
the variant `memory_gb=2` has it plan for a smaller one. Its own validation is cut to one batch an epoch, since all of
it would count against the budget.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from sever.errors import InputError
from sever.files import atomic_folder, write_json
from sever.reading import read_json

from ..budget import SPARE_SHARE
from ..protocols import Sample, Split
from ..task import Task, Trained

DRIVER = Path(__file__).with_name("nnunet_driver.py")
DATASET = "Dataset001_accuracy"
VARIANTS = {"memory_gb": 8.0}


def train_nnunet(task: Task) -> Trained:
    memory = _memory(task)
    if task.nnunet_python is None:
        raise InputError("nnU-Net needs --nnunet-python: the Python of an environment with `pip install nnunetv2`")
    if task.budget.clock == "epochs":
        raise InputError(
            "nnU-Net draws crops without end, so it has no passes over the images; take --clock cpu or wall"
        )
    python, folder = task.nnunet_python, task.folder.resolve()
    raw = folder / "raw" / DATASET
    if not raw.is_dir():
        write_raw(task.split, raw)
    clock, budget = task.budget.clock, 60 * task.budget.amount * (1 - SPARE_SHARE)
    _drive(python, folder, "prepare", str(memory))
    spent = task.stopwatch.spent().on(clock)
    _drive(python, folder, "train", clock, str(budget - spent), str(task.seed))
    plan = read_json(folder / "plan.json")
    return Trained(plan["steps"] * plan["batch"], lambda samples: _predict(python, folder, samples))


def write_raw(split: Split, folder: Path) -> None:
    """The training images as nnU-Net wants them: numbered PNGs, and dataset.json."""
    with atomic_folder(folder) as root:
        for name in ("imagesTr", "labelsTr"):
            (root / name).mkdir()
        for number, sample in enumerate(split.train):
            _write_png(root / "imagesTr" / f"case_{number:05d}_0000.png", sample.read_image())
            _write_png(root / "labelsTr" / f"case_{number:05d}.png", sample.read_labels())
        labels = {"background": 0} | {name: index + 1 for index, name in enumerate(split.class_names)}
        about = {
            "channel_names": {"0": "grey"},
            "labels": labels,
            "numTraining": len(split.train),
            "file_ending": ".png",
        }
        write_json(root / "dataset.json", about)


def _memory(task: Task) -> float:
    if unknown := [name for name in task.variant if name not in VARIANTS]:
        raise InputError(f"nnU-Net has no variant {unknown[0]!r} here; allowed: {', '.join(VARIANTS)}")
    return float(task.variant.get("memory_gb", VARIANTS["memory_gb"]))


def _drive(python: Path, folder: Path, *words: str) -> None:
    """Run one part of the driver; its output goes where ours goes."""
    places = {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # The planner wants a helper process; training without one keeps all its processor time in one place.
    environment |= places | {"nnUNet_n_proc_DA": "1" if words[0] == "prepare" else "0", "MPLBACKEND": "agg"}
    done = subprocess.run([str(python), str(DRIVER), str(folder), *words], env=environment, check=False)
    if done.returncode:
        raise InputError(f"nnU-Net's {words[0]} ended with code {done.returncode}; its message stands above")


def _predict(python: Path, folder: Path, samples: tuple[Sample, ...]) -> Iterator[np.ndarray]:
    test, answers = folder / "test", folder / "answers"
    if not test.is_dir():
        with atomic_folder(test) as root:
            for number, sample in enumerate(samples):
                _write_png(root / f"case_{number:05d}_0000.png", sample.read_image())
    _drive(python, folder, "predict")
    for number in range(len(samples)):
        labels_hw = cv2.imread(str(answers / f"case_{number:05d}.png"), cv2.IMREAD_UNCHANGED)
        assert labels_hw is not None, f"no answer to case {number}"
        yield labels_hw


def _write_png(path: Path, pixels: np.ndarray) -> None:
    if not cv2.imwrite(str(path), pixels):
        raise InputError(f"can't write {path}")
