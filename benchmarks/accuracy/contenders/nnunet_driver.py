"""Run by nnU-Net's own Python: prepare, train for so many seconds, predict. Knows nothing of sever.

PYTHON nnunet_driver.py FOLDER prepare MEMORY_GB
PYTHON nnunet_driver.py FOLDER train CLOCK SECONDS SEED      goes on where it was stopped
PYTHON nnunet_driver.py FOLDER predict
"""

# mypy: ignore-errors

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch

WARM_STEPS, TIMED_STEPS = 1, 2
MOST_EPOCHS = 20
PLANS = "nnUNetPlans"


def prepare(folder: Path, memory_gb: str) -> None:
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )

    done = folder / "prepared"
    if done.exists():
        return
    extract_fingerprints([1], num_processes=1, clean=False, verbose=False, show_progress_bar=False)
    plan_experiments([1], gpu_memory_target_in_gb=float(memory_gb))
    preprocess([1], PLANS, configurations=("2d",), num_processes=(1,), show_progress_bar=False)
    done.touch()


def train(folder: Path, clock: str, seconds: str, seed: str) -> None:
    began = now(clock)
    for module in (random, np.random, torch):
        (module.manual_seed if module is torch else module.seed)(int(seed))
    plan_file = folder / "plan.json"
    if not plan_file.exists():
        step, batch = measure(folder, clock)
        steps = int((float(seconds) - (now(clock) - began)) / step)
        if steps < 1:
            sys.exit(f"{seconds} s are too short: a step of {batch} crops takes {step:.1f} s")
        epochs = max(1, min(MOST_EPOCHS, steps // 5))
        plan = {"epochs": epochs, "steps": steps // epochs * epochs, "batch": batch, "step_seconds": step}
        plan_file.write_text(json.dumps(plan))
    plan = json.loads(plan_file.read_text())
    trainer = make_trainer(folder, plan["epochs"], plan["steps"] // plan["epochs"])
    output = Path(trainer.output_folder)
    if (output / "checkpoint_final.pth").exists():
        return
    if (output / "checkpoint_latest.pth").exists():
        trainer.load_checkpoint(str(output / "checkpoint_latest.pth"))
    trainer.run_training()


def measure(folder: Path, clock: str) -> tuple[float, int]:
    """Seconds of a step and images in it, of a network that is thrown away."""
    trainer = make_trainer(folder, 1, 1)
    trainer.on_train_start()
    trainer.on_train_epoch_start()
    for step in range(WARM_STEPS + TIMED_STEPS):
        if step == WARM_STEPS:
            start = now(clock)
        trainer.train_step(next(trainer.dataloader_train))
    return (now(clock) - start) / TIMED_STEPS, trainer.batch_size


def make_trainer(folder: Path, epochs: int, steps: int):
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    prepared = folder / "preprocessed" / "Dataset001_accuracy"
    plans = json.loads((prepared / f"{PLANS}.json").read_text()) | {"continue_training": False}
    trainer = nnUNetTrainer(
        plans, "2d", "all", json.loads((prepared / "dataset.json").read_text()), torch.device("cpu")
    )
    trainer.num_epochs, trainer.num_iterations_per_epoch = epochs, steps
    trainer.num_val_iterations_per_epoch, trainer.save_every = 1, 1
    trainer.initialize()
    return trainer


def predict(folder: Path) -> None:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
    trained = folder / "results" / "Dataset001_accuracy" / f"nnUNetTrainer__{PLANS}__2d"
    predictor.initialize_from_trained_model_folder(str(trained), ("all",), "checkpoint_final.pth")
    images = sorted((folder / "test").glob("*.png"))
    answers = folder / "answers"
    answers.mkdir(exist_ok=True)
    names = [str(answers / image.name.removesuffix("_0000.png")) for image in images]
    predictor.predict_from_files_sequential([[str(image)] for image in images], names, overwrite=False)


def now(clock: str) -> float:
    """Wall clock, or the processor time of this process, which starts no others (nnUNet_n_proc_DA=0)."""
    return time.process_time() if clock == "cpu" else time.perf_counter()


if __name__ == "__main__":
    {"prepare": prepare, "train": train, "predict": predict}[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])
