"""How accurate can a network be that keeps up with a line? The curve of speed against Dice, every point that was tried.

    python benchmarks/line_speed.py -o curve.png
    python benchmarks/line_speed.py --epochs 60 --train 4000 --test 1000 -o curve.png

The first point is the teacher: a Unet of resnet18 at full resolution. The others learn from labels and teacher alike
(`distill`), shrunk or not, with narrow decoders. All are trained on the same synthetic strip for as many epochs,
exported, and timed as `sever predict` runs them in each backend, from JPEG files to rows. Beside Dice over all pairs
and where a defect is present stand misses and false alarms a kilometre of strip: a class that is in an image that has
none drawn, and the other way round. A few epochs on few strips say little of the accuracy: what was trained is printed.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from common import QUICK_ENCODER, Clock, describe_machine, make_parser, parse, print_ratio, print_table

from sever.config import DataSettings, parse_config
from sever.data import rle
from sever.data.layouts import read_table
from sever.data.synthetic import SynthSettings, write_dataset
from sever.data.table import ImageTable
from sever.decide.metrics import dice_pairs, pair_counts
from sever.deliver.runtime.backends import BACKENDS
from sever.pipeline.export.make import ExportOptions, export_model
from sever.pipeline.inference.bundled import bundle_model, fault_of
from sever.pipeline.inference.one_pass import OnePass
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.train.starting import train_experiment
from sever.prefetch import cores
from sever.store.bundle.bundle import Bundle

matplotlib.use("Agg")
NARROW = [64, 32, 16, 8, 8]
# 20 m/s of strip 1.6 m wide, both sides, at 1 mm a pixel, in images of 256x1600.
WANTED = 156.0


@dataclass(frozen=True)
class Network:
    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Point:
    """One network in one backend. `speed`: images/s; `a_core`: images a second of one core's own time."""

    network: str
    backend: str
    speed: float
    a_core: float
    dice: float
    dice_present: float
    misses: float
    false_alarms: float


def networks(quick: bool) -> list[Network]:
    small = QUICK_ENCODER if quick else "tu-mobilenetv3_small_100"
    narrow = [8, 8, 8, 4, 4] if quick else NARROW
    teacher = {"encoder": small, "decoder_channels": narrow} if quick else {"encoder": "resnet18"}
    found = [Network("teacher", teacher)]
    found += [
        Network(f"narrow, 1/{shrink}", {"encoder": small, "decoder_channels": narrow, "shrink": shrink})
        for shrink in ((2,) if quick else (1, 2, 4))
    ]
    return found


def train(network: Network, root: Path, folder: Path, teacher: Path | None, options: argparse.Namespace) -> Path:
    values: dict[str, Any] = {
        "name": network.name.replace(", 1/", "-").replace(" ", "-"),
        "data": {"root": str(root)},
        "folds": {"share": 0.2},
        "model": {"weights": "none"} | network.settings,
        "augment": {"recipe": "light", "crop": list(options.crop)},
        "optim": {"encoder_learning_rate": 1e-3},
        "train": {"epochs": options.epochs, "batch_size": 8, "workers": 0, "validate_every": None},
    }
    if teacher is not None:
        values["distill"] = {"teacher": str(teacher), "share": options.share}
    return train_experiment(parse_config(values, "benchmark"), folder / "saved", "cpu").folder


def measure(network: Network, path: Path, table: ImageTable, options: argparse.Namespace) -> list[Point]:
    bundle, points = Bundle.open(path), []
    for backend in BACKENDS:
        if fault_of(bundle, backend) is not None:
            continue
        model = bundle_model(bundle, backend, InferenceOptions(streams=cores()))
        one_pass = OnePass(model, model.reader())
        list(one_pass.rows(table.take([0, 1])))
        start = Clock.now()
        rows = list(one_pass.rows(table))
        took = start.since()
        counts = [
            pair_counts(np.stack([rle.decode(text, *table.size(at)) for text in row.runs]), table.mask(at))
            for at, row in enumerate(rows)
        ]
        dice_nc = np.stack([dice_pairs(each) for each in counts])
        there, drawn = table.has_class(), np.array([[bool(text) for text in row.runs] for row in rows])
        kilometres = sum(table.size(at)[1] for at in range(len(table))) * options.pixel_mm / 1e6
        points.append(
            Point(
                network.name,
                backend,
                len(rows) / took.wall,
                len(rows) / took.processor,
                float(dice_nc.mean()),
                float(dice_nc[there].mean()),
                float((there & ~drawn).sum() / kilometres),
                float((drawn & ~there).sum() / kilometres),
            )
        )
    return points


def draw(points: list[Point], path: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name in dict.fromkeys(point.network for point in points):
        own = sorted((point for point in points if point.network == name), key=lambda point: point.a_core)
        axes.plot([cores() * point.a_core for point in own], [point.dice for point in own], "o-", label=name)
        for point in own:
            place = (cores() * point.a_core, point.dice)
            axes.annotate(point.backend, place, fontsize=7, xytext=(3, 4), textcoords="offset points")
    axes.axvline(WANTED, color="grey", linestyle=":", label="20 m/s, both sides")
    axes.set(xscale="log", xlabel=f"images/s on {cores()} cores, by processor time", ylabel="mean Dice over all pairs")
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def info(points: list[Point]) -> None:
    head = ["network, backend", "images/s", "by cpu", "Dice", "where present", "misses/km", "false alarms/km"]
    rows = [
        (
            f"{point.network}, {point.backend}",
            f"{point.speed:.1f}",
            f"{cores() * point.a_core:.1f}",
            f"{point.dice:.4f}",
            f"{point.dice_present:.4f}",
            f"{point.misses:.0f}",
            f"{point.false_alarms:.0f}",
        )
        for point in points
    ]
    print_table(head, rows)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, help="a picture of the curve")
    parser.add_argument("--train", type=int, default=200, help="strips to learn from")
    parser.add_argument("--test", type=int, default=100, help="strips to be judged by")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 1600), help="height and width of a strip")
    parser.add_argument("--crop", type=int, nargs=2, default=(256, 512), help="that is learnt from")
    parser.add_argument("--epochs", type=int, default=4, help="of each network, the teacher's too")
    parser.add_argument("--share", type=float, default=0.5, help="of the loss that the teacher has")
    parser.add_argument("--pixel-mm", type=float, default=1.0, help="pitch")
    quick = {"train": 8, "test": 4, "size": (64, 128), "crop": (64, 64), "epochs": 1}
    options = parse(parser, quick)
    points: list[Point] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        settings = SynthSettings(
            options.train, options.test, options.size[0], options.size[1], 0, "balanced", workers=1
        )
        root = write_dataset(folder / "data", settings)
        labels = DataSettings(root=root, test_labels=root / "test_labels.csv")
        table, _ = read_table(labels, "test")
        teacher = None
        for network in networks(options.quick):
            run = train(network, root, folder, teacher, options)
            teacher = teacher or run
            bundle = folder / f"{run.parent.name}.sever"
            calibration = min(32, options.train // 2)
            export_model(run, bundle, ExportOptions(images=min(16, options.train // 5 + 1), calibration=calibration))
            points += measure(network, bundle, table, options)
    print(describe_machine())
    print(
        f"{options.train} strips, {options.epochs} epochs each, judged by {len(table)}; all empty "
        f"{1 - table.has_class().mean():.4f}"
    )
    info(points)
    if options.output:
        draw(points, options.output)
    fastest = max(points, key=lambda point: point.a_core)
    ratio = fastest.a_core * cores() / WANTED
    print_ratio(ratio, f"fastest point over {WANTED:g} images/s, by processor time")


if __name__ == "__main__":
    main()
