"""How soon wrong labels are found by `sever data doubts`, by the loss, and by cleanlab, in one run; what mending gains.

    python benchmarks/label_doubts.py --data data/neu_seg --images 720 --folds 3 --epochs 6 --work work

A copy of NEU-Seg gets faults: 5 % of the images each have their mask dropped, moved by 10 pixels, given another class,
or a foreign region added. A small network is cross-validated on the copy, faults and all, grouped by base image. Every
method then ranks the images by the same out-of-fold maps. Average precision of a kind: its images among those without
a fault; of all: all faulty images among all. A kind's own score is the one column that knows the kind it looks for;
the row of all kinds, and the column `any kind`, use one score an image for all of them.

With --mend, the labels of the first 5 % by `any kind` are replaced by the true ones, and networks with several seeds
are trained on the wrong, the mended and, as a limit, the true labels; all are scored on other images, whose labels are
true. Without --data, strip that the program draws, which is enough to see that it runs.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from common import QUICK_ENCODER, describe_machine, make_parser, parse, print_ratio, print_table
from planted_faults import DROPPED, EXTRA, MOVED, NONE, SWAPPED, Planted, mend, plant
from sklearn.metrics import average_precision_score

from sever.config import DataSettings, load_config
from sever.data.layouts import read_table
from sever.data.synthetic import make_strip
from sever.data.table import ImageTable
from sever.decide import label_doubts
from sever.decide.label_doubts import compared, find_doubts
from sever.decide.levels import dequantise
from sever.pipeline.crossval import PREDICTED, run_fold, start
from sever.store import Evidence
from sever.store.maps import ProbabilityStore

KIND_OF = {
    DROPPED: label_doubts.MISSING,
    EXTRA: label_doubts.EXTRA,
    MOVED: label_doubts.MOVED,
    SWAPPED: label_doubts.SWAPPED,
}
LEAST_PROB = 1 / 510
DOWNSAMPLE = 4  # cleanlab's count of pixels takes a factor that divides both sides; its default 16 doesn't divide 200
OWN, ANY = "sever, own kind", "sever, any kind"


class Maps(NamedTuple):
    """The images of the folds that were trained, with their labels, faults and all, and where their maps lie."""

    store: ProbabilityStore
    table: ImageTable


class Answers(NamedTuple):
    """What every method says of every image, the higher the more doubtful; `own` by fault, as only we tell kinds."""

    faults: np.ndarray
    own: dict[str, np.ndarray]
    whole: dict[str, np.ndarray]


def experiment(root: Path, epochs: int, encoder: str, weights: str, seed: int) -> dict[str, Any]:
    """The recipe of experiments/neu-grouped.yml with half the batch and a third of the decoder."""
    rates = {"encoder_learning_rate": 2e-3, "decoder_learning_rate": 2e-3}
    decays = {"encoder_weight_decay": 1e-2, "decoder_weight_decay": 1e-2}
    return {
        "name": root.name,
        "data": {"root": str(root.resolve()), "groups": str((root / "groups.csv").resolve())},
        "folds": {"find_copies": False},
        "model": {
            "architecture": "Unet",
            "encoder": encoder,
            "weights": weights,
            "in_channels": "sum",
            "decoder_channels": [64, 32, 16, 16, 8],
        },
        "augment": {"recipe": "light", "crop": None},
        "loss": {"name": "ce_dice"},
        "optim": {"name": "adamw", "warmup_share": 0.3, "flat_share": 0.0} | rates | decays,
        "train": {"epochs": epochs, "batch_size": 8, "workers": 0, "validate_every": None, "seed": seed},
        "predict": {"batch_size": 8},
    }


def crossvalidated(planted: Planted, work: Path, options: Any) -> Maps:
    """The maps of a cross-validation on the copy with faults; one that is there is gone on with."""
    found = sorted((work / "saved" / planted.root.name).glob("*/evidence.json"))
    if found:
        evidence = Evidence.find(found[-1])
    else:
        config = load_config(config_file(planted.root, work, options, options.seed), {"folds.count": options.folds})
        evidence = start(config, work / "saved")
    for fold in range(options.trained_folds or options.folds):
        if not (evidence.fold_folder(fold) / PREDICTED).is_file():
            run_fold(evidence, fold, "cpu")
    table, _ = read_table(DataSettings(root=planted.root))
    return Maps(evidence.maps, table.take([row for row, name in enumerate(table.image_ids) if name in evidence.maps]))


def config_file(root: Path, work: Path, options: Any, seed: int) -> Path:
    path = work / f"{root.name}-{seed}.yml"
    path.write_text(yaml.safe_dump(experiment(root, options.epochs, options.encoder, options.weights, seed)))
    return path


def sever(*words: object) -> str:
    """A command as a user types it; returns its standard output."""
    command = [sys.executable, "-m", "sever", *map(str, words)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def ask(maps: Maps, planted: Planted, seed: int) -> Answers:
    """Every method, on the same maps and labels."""
    doubts, labels, probs = [], [], []
    for row, image_id in enumerate(maps.table.image_ids):
        levels_chw, true_chw = maps.store.read(image_id, maps.table.num_classes), maps.table.mask(row)
        doubts.append(find_doubts(levels_chw, true_chw))
        labels.append(np.where(true_chw.any(axis=0), true_chw.argmax(axis=0) + 1, 0))
        probs.append(with_background(levels_chw))
    doubts, labels_nhw, probs_nkhw = compared(doubts), np.stack(labels), np.stack(probs)

    def worst(kinds: tuple[str, ...]) -> np.ndarray:
        return np.array([max((each.score for each in own if each.kind in kinds), default=0.0) for own in doubts])

    true_probs = np.take_along_axis(probs_nkhw, labels_nhw[:, None], axis=1)
    whole = {
        ANY: worst(label_doubts.KINDS),
        "loss": -np.log(true_probs).mean(axis=(1, 2, 3)),
        **cleanlab_scores(labels_nhw, probs_nkhw),
        "random": np.random.default_rng(seed).random(len(doubts)),
    }
    faults = np.array([planted.fault_of[image_id] for image_id in maps.table.image_ids])
    return Answers(faults, {fault: worst((kind,)) for fault, kind in KIND_OF.items()}, whole)


def with_background(levels_chw: np.ndarray) -> np.ndarray:
    """(1 + C, H, W) probabilities that sum to 1, background first."""
    probs_chw = dequantise(levels_chw)
    both = np.concatenate([1 - probs_chw.sum(axis=0, keepdims=True), probs_chw]).clip(LEAST_PROB, 1)
    return both / both.sum(axis=0)


def cleanlab_scores(labels_nhw: np.ndarray, probs_nkhw: np.ndarray) -> dict[str, np.ndarray]:
    """Both of cleanlab's scores for segmentation, where it is installed; low ones mean doubt there."""
    if not find_spec("cleanlab"):
        return {}
    from cleanlab.segmentation.rank import get_label_quality_scores  # type: ignore[import-not-found]

    ways = {"softmin": {}, "num_pixel_issues": {"downsample": DOWNSAMPLE, "n_jobs": 1}}
    return {
        f"cleanlab {name}": -get_label_quality_scores(labels_nhw, probs_nkhw, method=name, verbose=False, **more)[0]
        for name, more in ways.items()
    }


def precisions(answers: Answers) -> dict[str, list[float]]:
    """Average precision by method: one number a fault, its images among those without one; then all among all."""
    table: dict[str, list[float]] = {name: [] for name in (OWN, *answers.whole)}
    for fault, own in answers.own.items():
        keep = np.isin(answers.faults, (NONE, fault))
        is_wrong = answers.faults[keep] == fault
        for name, scores in {OWN: own, **answers.whole}.items():
            table[name].append(float(average_precision_score(is_wrong, scores[keep])))
    is_wrong = answers.faults != NONE
    for name, scores in answers.whole.items():
        table[name].append(float(average_precision_score(is_wrong, scores)))
    return table


def gain_of_mending(planted: Planted, answers: Answers, image_ids: list[str], source: Path, options: Any) -> None:
    """Train on wrong, mended and true labels; print the scores on images that none of them knows."""
    work, count = options.work, round(options.mend_share * len(image_ids))
    first = [image_ids[at] for at in np.argsort(-answers.whole[ANY], kind="stable")[:count]]
    wrong = {name for name, fault in planted.fault_of.items() if fault != NONE}
    hit = len(wrong & set(first))
    print(f"\nmended: the first {count} of {len(image_ids)} images, {hit} of them wrong ({len(wrong)} are)")
    roots = {"wrong": planted.root, "mended": work / "mended", "true": work / "true"}
    mend(planted, source, roots["mended"], set(first))
    mend(planted, source, roots["true"], wrong)
    judged = plant(source, work / "judged", options.images + options.judged, {}, 0, options.seed)
    rows = []
    for name, root in roots.items():
        scores = [trained_score(root, judged.root, image_ids, seed, options) for seed in range(options.seeds)]
        rows.append((name, *(f"{score:.4f}" for score in scores), f"{np.mean(scores):.4f}"))
    print_table(("mean IoU, labels", *(f"seed {seed}" for seed in range(options.seeds)), "mean"), rows)


def trained_score(root: Path, judged: Path, image_ids: list[str], seed: int, options: Any) -> float:
    """Mean IoU of a network that learnt all of `root`, on the images of `judged` that are not among them."""
    saved = options.work / "mending" / f"{root.name}-{seed}"
    if not saved.is_dir():
        config = config_file(root, options.work, options, seed)
        # One image validates, since a run needs one; nothing is chosen by it.
        words = ["--set", "folds.scheme=share", "--set", f"folds.share={1.5 / len(image_ids)}"]
        sever("train", "-c", config, "--saved", saved, *words)
    (run,) = saved.glob("*/*/config.yml")
    known = set(groups_of(root).values())
    unseen = [name for name, group in groups_of(judged).items() if group not in known]
    words = [word for name in unseen for word in ("--include", name)]
    return float(json.loads(sever("evaluate", "-r", run.parent, "--data", judged, "--json", *words))["mean_iou"])


def groups_of(root: Path) -> dict[str, str]:
    with (root / "groups.csv").open(encoding="utf-8") as file:
        return {row["image"]: row["group"] for row in csv.DictReader(file)}


def drawn_source(folder: Path, images: int) -> Path:
    """Strip in the layout of NEU-Seg, each image a group of its own."""
    rows = []
    for part in ("images", "masks"):
        (folder / part / "training").mkdir(parents=True)
    for index in range(images):
        strip_hw, masks_chw = make_strip(0, index, 64, 128, (2 + index % 2,))
        labels_hw = np.where(masks_chw.any(axis=0), masks_chw.argmax(axis=0) + 1, 0).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / "training" / f"{index:03}.jpg"), strip_hw)
        cv2.imwrite(str(folder / "masks" / "training" / f"{index:03}.png"), labels_hw)
        rows.append(("training", f"{index:03}.jpg", f"strip_{index}"))
    (folder / "classes.txt").write_text("a\nb\nc\nd\n")
    with (folder / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("split", "image", "group"), *rows])
    return folder


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, help="NEU-Seg with its groups.csv; without it strip is drawn")
    parser.add_argument("--images", type=int, default=720)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--trained-folds", type=int, help="only so many of the folds: fewer images are judged")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--share", type=float, default=0.05, help="of the images, for each of the four faults")
    parser.add_argument("--pixels", type=int, default=10, help="by which masks are moved")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of images and faults, and of the networks")
    parser.add_argument("--encoder", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", default="offline")
    parser.add_argument("--work", type=Path, help="folder to keep copies and networks in for another run")
    parser.add_argument("--mend", action="store_true", help="also train on mended labels")
    parser.add_argument("--mend-share", type=float, default=0.05)
    parser.add_argument("--judged", type=int, default=180, help="images that judge mended labels")
    parser.add_argument("--seeds", type=int, default=3, help="networks for each state of the labels")
    quick = {"images": 16, "folds": 2, "epochs": 1, "share": 0.125, "encoder": QUICK_ENCODER, "weights": "none"}
    options = parse(parser, quick)
    with tempfile.TemporaryDirectory() as name:
        options.work = options.work or Path(name)
        options.work.mkdir(parents=True, exist_ok=True)
        source = options.data or drawn_source(Path(name) / "drawn", options.images + options.judged)
        print(describe_machine())
        planted = plant(
            source, options.work / "spoiled", options.images, dict.fromkeys(KIND_OF, options.share), options.pixels,
            options.seed,
        )  # fmt: skip
        maps = crossvalidated(planted, options.work, options)
        answers = ask(maps, planted, options.seed)
        table = precisions(answers)
        counts = ", ".join(f"{np.sum(answers.faults == fault)} {fault}" for fault in (*KIND_OF, NONE))
        print(f"\naverage precision over {len(answers.faults)} images: {counts}")
        heads = ("", *KIND_OF, "all")
        rows = [(name, *(f"{value:.3f}" for value in row)) for name, row in table.items()]
        print_table(heads, [row if len(row) == len(heads) else (*row, "-") for row in rows])
        if options.mend:
            gain_of_mending(planted, answers, maps.table.image_ids, source, options)
        print_ratio(table[ANY][-1] / table["loss"][-1], "average precision over all kinds, ours over the loss alone")


if __name__ == "__main__":
    main()
