"""Do pseudo-labels help? On a real data set of which only a share of the labels is kept.

    python benchmarks/pseudo_labels.py --data data/neu_seg --groups data/neu_seg/groups.csv --train-only composite \\
        --min-pixels 50 500 150 --max-validation 300 -o saved/pseudo-labels

For every seed: one fold of groups is held out to score. Of the other images a share keeps its labels (whole groups, so
that no copy of a labelled image is among the unlabelled). A teacher learns from them and labels the rest; a student
learns from scratch from both, and a control student, of the same first weights, from the labelled ones alone. Both take
exactly the same number of steps of the same batch; so that this comes out even, a few labelled images are left out. The
last epoch is scored, so nothing is chosen by score. It prints the paired differences, and goes on where it was stopped
when it is started again with the same -o. Without --data it learns from synthetic strip.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    PseudoSettings,
    RuleSettings,
    TrainSettings,
)
from sever.data.folds import VALIDATION, assign_folds, split
from sever.data.layouts import read_table
from sever.data.mixing import read_pseudo_labelled
from sever.data.run_table import write_run_table
from sever.data.samplers import pseudo_a_batch
from sever.data.table import ImageTable
from sever.decide.metrics import ScoreSheet, pair_counts
from sever.decide.pseudo_labels import MEASURES, Sureness
from sever.files import atomic_folder, write_json
from sever.pipeline.evaluate import Truth, evaluate_run
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.predict import ImageSource
from sever.pipeline.pseudo import label_images
from sever.pipeline.train.resuming import resume
from sever.pipeline.train.starting import train_experiment
from sever.reading import read_json
from sever.store import find_run

SCORES = ("dice", "dice_positive", "mean_iou")
TEACHER, CONTROL, STUDENT = "teacher", "control", "student"
TRAIN_GROUP = "train"
# The first weights and the order of the teacher are others than those of its students.
TEACHER_SEEDS = 1000


@dataclass(frozen=True)
class Plan:
    """How many labelled images, and how many epochs of each kind come to the same number of steps."""

    labelled: int
    steps: int
    epochs: dict[str, int]


def plan(there: int, batch: int, pseudo: int, target_steps: int) -> Plan:
    """`there` labelled images, `pseudo` images of a batch pseudo-labelled. Raises SystemExit for too few images."""
    labelled_a_batch = batch - pseudo
    multiple = math.lcm(batch, labelled_a_batch)
    labelled = there // multiple * multiple
    if not labelled:
        raise SystemExit(f"{there} labelled images are too few: raise --labelled-share, or lower --batch to fit")
    alone, beside = labelled // batch, labelled // labelled_a_batch
    even = math.lcm(alone, beside)
    steps = max(1, round(target_steps / even)) * even
    return Plan(labelled, steps, {TEACHER: steps // alone, CONTROL: steps // alone, STUDENT: steps // beside})


class Experiment:
    """One data set, and a folder with all that was made of it so far."""

    def __init__(self, options: argparse.Namespace, folder: Path, root: Path) -> None:
        self.options, self.folder = options, folder
        self.data = DataSettings(root=root, groups=options.groups)
        self.table, _ = read_table(self.data)
        folds = FoldSettings(scheme="kfold", count=options.folds, train_only_groups=tuple(options.train_only))
        training, held_out = split(self.table, assign_folds(self.table, folds), folds)
        self.training = self.table.take(training)
        order = np.random.default_rng(0).permutation(held_out)
        self.held_out = self.table.take(np.sort(order[: options.max_validation]))
        write_once(self.folder / "held-out", self.held_out)

    def run_seed(self, seed: int) -> dict[str, Any]:
        """All stages of one seed; those that are done are not done again."""
        folder = self.folder / f"seed-{seed}"
        labelled, unlabelled = self.divide(seed)
        pseudo_images = pseudo_a_batch(self.pseudo_settings(folder), self.options.batch)
        planned = plan(len(labelled) - 1, self.options.batch, pseudo_images, self.options.steps)
        labelled = labelled.take(list(range(planned.labelled + 1)))
        write_once(folder / "labelled", labelled)
        write_once(folder / "unlabelled", unlabelled)
        results: dict[str, Any] = {"labelled": planned.labelled, "steps": planned.steps}
        results[TEACHER] = self.score(folder, TEACHER, planned, TEACHER_SEEDS + seed)
        results["pseudo"] = self.label(folder, unlabelled)
        results[CONTROL] = self.score(folder, CONTROL, planned, seed)
        results[STUDENT] = self.score(folder, STUDENT, planned, seed)
        return results

    def divide(self, seed: int) -> tuple[ImageTable, ImageTable]:
        """The training images that keep their labels, in random order, and those that don't."""
        frame = self.training.frame
        alone = frame["group"].where(~frame["group"].isin(self.options.train_only), None)
        free = ImageTable(frame.assign(group=alone), self.training.class_names)
        kept_n = assign_folds(free, FoldSettings(share=self.options.labelled_share, seed=seed)) == VALIDATION
        rng = np.random.default_rng(seed)
        kept, rest = rng.permutation(np.flatnonzero(kept_n)), rng.permutation(np.flatnonzero(~kept_n))
        return self.training.take(kept), self.training.take(np.sort(rest[: self.options.max_unlabelled]))

    def score(self, folder: Path, kind: str, planned: Plan, seed: int) -> dict[str, float]:
        """Scores of a network on the held-out fold; trained, and scored, if it isn't yet."""
        file = folder / f"{kind}.json"
        if not file.is_file():
            checkpoint = self.trained(self.config(folder, kind, planned.epochs[kind], seed), folder)
            assert read_json(checkpoint / "state.json")["position"]["optimizer_step"] == planned.steps
            scores = evaluate_run(
                checkpoint, Truth(self.folder / "held-out"), None, InferenceOptions(self.options.device)
            )
            write_json(file, scores)
        scores = read_json(file)
        return {name: scores[name] for name in SCORES}

    def trained(self, config: ExperimentConfig, folder: Path) -> Path:
        """The last checkpoint of a run, begun or gone on with."""
        begun = any((folder / config.name).glob("*/config.yml"))
        device = self.options.device
        run = resume(folder / config.name, device) if begun else train_experiment(config, folder, device)
        checkpoint = run.latest()
        assert checkpoint is not None
        return checkpoint

    def label(self, folder: Path, unlabelled: ImageTable) -> dict[str, Any]:
        """What the teacher was sure of, and the Dice of that against the labels that it never saw."""
        file = folder / "pseudo.json"
        if not file.is_file():
            options, output = self.options, folder / "pseudo"
            checkpoint = find_run(folder / TEACHER)[0].latest()
            assert checkpoint is not None
            source = ImageSource(folder / "unlabelled" / "train_images", None)
            sureness = Sureness("confidence", options.min_present, options.min_empty)
            report = label_images(
                checkpoint, source, output, sureness, InferenceOptions(options.device), sheet_images=12
            )
            if not report["kept"]:
                raise SystemExit("the teacher is sure of no image: lower --min-present or --min-empty")
            nothing = ImageTable(self.table.frame.iloc[:0], self.table.class_names)
            guessed = read_pseudo_labelled(self.pseudo_settings(folder), nothing)
            write_json(file, report | {"dice": dice_against_truth(guessed, unlabelled)})
        return dict(read_json(file))

    def pseudo_settings(self, folder: Path) -> PseudoSettings:
        return PseudoSettings(
            labels=folder / "pseudo" / "pseudo.csv",
            images=folder / "unlabelled" / "train_images",
            share=self.options.share,
            keep=self.options.keep,
        )

    def config(self, folder: Path, kind: str, epochs: int, seed: int) -> ExperimentConfig:
        options, root = self.options, folder / "labelled"
        return ExperimentConfig(
            name=kind,
            data=DataSettings(root=root, groups=root / "groups.csv"),
            # One labelled image validates, for form's sake; all others train.
            folds=FoldSettings(share=0.5, train_only_groups=(TRAIN_GROUP,)),
            augment=AugmentSettings(recipe="light", crop=tuple(options.crop)),
            pseudo=self.pseudo_settings(folder) if kind == STUDENT else None,
            model=ModelSettings(
                architecture=options.architecture,
                encoder=options.encoder,
                weights=options.weights,
                decoder_channels=options.decoder_channels,
            ),
            optim=OptimSettings(
                name="adamw",
                encoder_learning_rate=options.encoder_learning_rate,
                decoder_learning_rate=options.decoder_learning_rate,
                encoder_weight_decay=1e-2,
                decoder_weight_decay=1e-2,
            ),
            train=TrainSettings(
                epochs=epochs,
                batch_size=options.batch,
                seed=seed,
                workers=options.workers,
                keep_best=1,
                validate_every=epochs,
                checkpoint_steps=50,
            ),
            predict=PredictSettings(batch_size=16),
            rules=RuleSettings(min_pixels=tuple(options.min_pixels) if options.min_pixels else 0),
        )


def dice_against_truth(guessed: ImageTable, truth: ImageTable) -> float:
    """Mean Dice over the pairs that show a defect in truth or in the guess: of a sure guess, most others are easy."""
    sheet = ScoreSheet(truth.num_classes)
    true = truth.select(guessed.image_ids)
    for row, image_id in enumerate(guessed.image_ids):
        sheet.add(image_id, pair_counts(guessed.mask(row), true.mask(row)))
    shown = guessed.has_class() | true.has_class()
    return float(sheet.dice()[shown].mean()) if shown.any() else 1.0


def write_once(root: Path, table: ImageTable) -> None:
    """A data set in the competition's layout whose images are links; all but two of them always train."""
    if root.is_dir():
        return
    with atomic_folder(root) as temporary:
        for row, image_id in enumerate(table.image_ids):
            link = temporary / "train_images" / image_id
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(table.path(row).resolve())
        runs = table.frame[table.run_columns].to_numpy().tolist()
        with (temporary / "train.csv").open("w", newline="", encoding="utf-8") as file:
            write_run_table(file, zip(table.image_ids, runs, strict=True), "combined")
        (temporary / "classes.txt").write_text("\n".join(table.class_names) + "\n", encoding="utf-8")
        groups = pd.DataFrame({"image": table.image_ids, "group": TRAIN_GROUP})
        groups.loc[groups.index[:2], "group"] = ""
        groups.to_csv(temporary / "groups.csv", index=False)


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, standard deviation over seeds, and the standard error of the mean."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    error = deviation / math.sqrt(len(values)) if deviation is not None else None
    return {"mean": float(np.mean(values)), "deviation": deviation, "standard_error": error}


def compare(seeds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Student minus control, seed by seed."""
    differences = {name: [row[STUDENT][name] - row[CONTROL][name] for row in seeds.values()] for name in SCORES}
    return {name: {"differences": values} | spread(values) for name, values in differences.items()}


def info(results: dict[str, Any]) -> None:
    seeds = results["seeds"]
    rows = [
        [f"seed {seed}, {kind}", *(f"{row[kind][name]:.4f}" for name in SCORES)]
        for seed, row in seeds.items()
        for kind in (TEACHER, CONTROL, STUDENT)
    ]
    print_table(["", *SCORES], rows)
    for seed, row in seeds.items():
        pseudo = row["pseudo"]
        print(
            f"seed {seed}: {row['labelled']} labelled images, {row['steps']} steps; {pseudo['kept']} of "
            f"{pseudo['given']} others kept, whose pseudo-labels have Dice {pseudo['dice']:.3f} against the truth"
        )
    print("student minus control, the same steps:")
    for name, row in results["paired"].items():
        error = "" if row["standard_error"] is None else f" +- {row['standard_error']:.4f} (standard error of the mean)"
        each = ", ".join(f"{value:+.4f}" for value in row["differences"])
        print(f"  {name}: {row['mean']:+.4f}{error}; seeds {each}")


def claim(folder: Path, options: argparse.Namespace) -> None:
    """Refuses to go on in a folder that was made with other settings; more seeds may be added."""
    settings = {
        key: value for key, value in vars(options).items() if key not in ("output", "seeds", "device", "workers")
    }
    settings = json.loads(json.dumps(settings, default=str))
    file = folder / "settings.json"
    if file.is_file() and read_json(file) != settings:
        raise SystemExit(f"{folder} was made with other settings ({file}); give another -o")
    write_json(file, settings)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, help="a labelled data set in either layout; synthetic strip without it")
    parser.add_argument("--groups", type=Path, help="CSV of the groups, as data.groups")
    parser.add_argument("--train-only", nargs="*", default=[], help="groups that never validate")
    parser.add_argument("-o", "--output", type=Path, help="folder to keep everything in; without it nothing is kept")
    parser.add_argument("--labelled-share", type=float, default=0.1, help="of the training images that keep labels")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the labelled part and of training")
    parser.add_argument("--folds", type=int, default=5, help="the first of so many is held out")
    parser.add_argument("--steps", type=int, default=250, help="about so many of each training")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--share", type=float, default=0.5, help="pseudo-labelled share of the student's batches")
    parser.add_argument("--keep", type=float, default=1.0, help="as pseudo.keep")
    defaults = MEASURES["confidence"]
    parser.add_argument("--min-present", type=float, default=defaults.min_present, help="as of sever pseudo")
    parser.add_argument("--min-empty", type=float, default=defaults.min_empty, help="as of sever pseudo")
    parser.add_argument("--max-validation", type=int, default=300, help="images of the held-out fold to score")
    parser.add_argument("--max-unlabelled", type=int, default=1500, help="images to pseudo-label")
    parser.add_argument("--min-pixels", type=int, nargs="*", default=[], help="as rules.min_pixels")
    parser.add_argument("--crop", type=int, nargs=2, default=(128, 128), help="height and width in pixels")
    parser.add_argument("--architecture", default="Unet", help="as model.architecture")
    parser.add_argument("--encoder", default="tf_efficientnet_lite0", help="as model.encoder")
    parser.add_argument("--weights", default="offline", help="offline, hub, none, or a file")
    parser.add_argument("--decoder-channels", type=int, nargs=5, default=None)
    parser.add_argument("--encoder-learning-rate", type=float, default=5e-4)
    parser.add_argument("--decoder-learning-rate", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="auto")
    quick = {"labelled_share": 0.4, "seeds": [0, 1], "steps": 4, "batch": 4, "crop": (32, 64), "weights": "none"}
    quick |= {"encoder": QUICK_ENCODER, "decoder_channels": (16, 8, 8, 8, 8), "workers": 0, "device": "cpu"}
    quick |= {"min_present": 0.0, "min_empty": 0.0, "max_validation": 4, "max_unlabelled": 8}
    options = parse(parser, quick)
    print(describe_machine())
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.output or Path(scratch) / "output"
        root = options.data
        if root is None:
            root = Path(options.output or scratch) / "data"
            if not root.is_dir():
                write_strip(root, 20 if options.quick else 400, 64, 128 if options.quick else 512)
        claim(folder, options)
        experiment = Experiment(options, folder, root)
        network = f"{options.architecture} {options.encoder}"
        print(f"{network} on {options.data or 'synthetic strip'}: {len(experiment.held_out)} images score")
        seeds = {str(seed): experiment.run_seed(seed) for seed in options.seeds}
        results = {"settings": read_json(folder / "settings.json"), "seeds": seeds, "paired": compare(seeds)}
        write_json(folder / "results.json", results)
    info(results)
    control, student = (np.mean([row[kind]["dice"] for row in seeds.values()]) for kind in (CONTROL, STUDENT))
    print_ratio(float(student / control), "mean Dice of the student with pseudo-labels over that of the control")


if __name__ == "__main__":
    main()
