"""Claim: the data loader never starves the training step: it delivers more images a second than the step takes.

    python benchmarks/loader.py
    python benchmarks/loader.py --encoder resnet18 --crop 256 256

Reads a temporary data set of synthetic strip, JPEGs of 1600x256, with our recipe for strip and the very loader and
Trainer of `sever train`. For each number of workers, in turn in this one process: what the loader delivers when nobody
trains, what training takes through it, and how long training waited for its images; beside training on batches that are
in memory already. A small model by default, as a large one is easily fed. The first step of an epoch is left out: no
loader has a batch ready then.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import (
    QUICK_ENCODER,
    Clock,
    describe_machine,
    make_parser,
    parse,
    print_ratio,
    print_table,
    write_strip,
)
from torch import Tensor
from training import SilentWatcher

from sever.config import (
    AugmentSettings,
    DataSettings,
    ExperimentConfig,
    ModelSettings,
    TrainSettings,
)
from sever.data.dataset import measure_pixels
from sever.data.layouts import read_table
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.models.reports import StepReport
from sever.models.train import Trainer
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.train.fitting import build_trainer

Batch = tuple[Tensor, Tensor]
MEMORY = "in memory"


@dataclass
class TimedLoader:
    """Hands on the batches, and notes how long the training waited for each; None stands for an epoch's first."""

    batches: Sequence[Batch]
    waits: list[float | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        start, first = time.perf_counter(), True
        for batch in self.batches:
            self.waits.append(None if first else time.perf_counter() - start)
            first = False
            yield batch
            start = time.perf_counter()


@dataclass
class StepTimes(SilentWatcher):
    seconds: list[float] = field(default_factory=list)

    def step(self, report: StepReport) -> None:
        self.seconds.append(report.seconds)


@dataclass
class Way:
    """One way to feed the training, and what it was seen to do."""

    trainer: Trainer
    loader: TimedLoader
    batch_size: int
    watcher: StepTimes = field(default_factory=StepTimes)
    deliveries: list[Clock] = field(default_factory=list)

    def deliver(self) -> None:
        """One epoch of batches that nobody uses."""
        self.trainer.sampler.set_position(self.trainer.position.epoch, 0)
        start = Clock.now()
        for _ in self.loader.batches:
            pass
        # From the start, as batches that were fetched while the first one was awaited would look free.
        self.deliveries.append(start.since())

    def train(self) -> None:
        """One more epoch."""
        settings = self.trainer.settings
        self.trainer.settings = settings.model_copy(update={"epochs": self.trainer.position.epoch + 1})
        self.trainer.fit(self.watcher)

    def forget(self) -> None:
        """What came first also started processes and set up memory."""
        for noted in (self.loader.waits, self.watcher.seconds, self.deliveries):
            noted.clear()

    @property
    def delivered(self) -> float:
        """Images a second when nobody trains."""
        return len(self.loader) * self.batch_size / float(np.median([clock.wall for clock in self.deliveries]))

    @property
    def delivery_milliseconds(self) -> float:
        """Of this process's processor time, an image."""
        seconds = float(np.median([clock.processor for clock in self.deliveries]))
        return 1e3 * seconds / (len(self.loader) * self.batch_size)

    @property
    def trained(self) -> float:
        """Images a second, the waiting included."""
        steady = [seconds for seconds, wait in self._steps() if wait is not None]
        return self.batch_size / float(np.median(steady))

    @property
    def waited_share(self) -> float:
        steady = [(seconds, wait) for seconds, wait in self._steps() if wait is not None]
        return sum(wait for _, wait in steady) / sum(seconds for seconds, _ in steady)

    def _steps(self) -> list[tuple[float, float | None]]:
        return list(zip(self.watcher.seconds, self.loader.waits, strict=True))


def make_config(options: argparse.Namespace, root: Path, workers: int) -> ExperimentConfig:
    return ExperimentConfig(
        name="loader",
        data=DataSettings(root=root),
        augment=AugmentSettings(recipe=options.recipe, crop=tuple(options.crop)),
        model=ModelSettings(encoder=options.encoder, weights="none", decoder_channels=(96, 64, 32, 24, 16)),
        train=TrainSettings(batch_size=options.batch, workers=workers),
    )


def make_way(options: argparse.Namespace, table: ImageTable, facts: DatasetFacts, workers: int | str) -> Way:
    config = make_config(options, table.path(0).parents[1], workers if isinstance(workers, int) else 0)
    trainer = build_trainer(config, facts, table, device="cpu", pretrained=False)
    timed = TimedLoader(list(trainer.loader) if workers == MEMORY else trainer.loader)
    trainer.loader = timed
    return Way(trainer, timed, options.batch)


def measure(options: argparse.Namespace, root: Path) -> dict[int | str, Way]:
    """All ways in turn; the first turn is not counted."""
    write_strip(root, options.images, options.height, options.width)
    table, _ = read_table(DataSettings(root=root))
    mean, std = measure_pixels(table, ImageReader(1))
    facts = DatasetFacts(table.class_names, mean, std)
    ways = {workers: make_way(options, table, facts, workers) for workers in (MEMORY, *options.workers)}
    for number in range(options.rounds + 1):
        for name, way in ways.items():
            if name != MEMORY:
                way.deliver()
            way.train()
            if number == 0:
                way.forget()
    return ways


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--encoder", default="tf_efficientnet_lite0", help="of a Unet with a narrow decoder")
    parser.add_argument("--recipe", default="strip", help="of augmentation")
    parser.add_argument("--crop", type=int, nargs=2, default=(256, 416), help="height and width in pixels")
    parser.add_argument("--height", type=int, default=256, help="of the stored images, in pixels")
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=8, help="images a step")
    parser.add_argument("--images", type=int, default=64, help="images an epoch")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    quick = {"crop": (64, 64), "height": 64, "width": 400, "batch": 2, "images": 6, "rounds": 1}
    options = parse(parser, quick | {"encoder": QUICK_ENCODER, "workers": [0, 1]})
    print(describe_machine())
    print(
        f"{options.width}x{options.height} JPEG, {options.recipe}, crops of {options.crop[1]}x{options.crop[0]}; "
        f"Unet {options.encoder}, bf16, batches of {options.batch}"
    )
    with tempfile.TemporaryDirectory() as folder:
        ways = measure(options, Path(folder) / "data")
    rows = [[MEMORY, "", f"{ways[MEMORY].trained:.1f}", "", ""]]
    for workers in options.workers:
        way = ways[workers]
        alone = way.delivered / ways[MEMORY].trained
        cells = [f"{way.delivered:.1f}", f"{way.trained:.1f}", f"{way.waited_share:.1%}", f"{alone:.1f}"]
        rows.append([f"{workers} workers", *cells])
    print_table(["images/s", "loader alone", "training", "waited", "loader / training in memory"], rows)
    if 0 in ways:
        milliseconds = ways[0].delivery_milliseconds
        print(f"reading, augmenting and batching an image takes {milliseconds:.1f} ms of one core")
    most = max(options.workers)
    print_ratio(
        ways[most].delivered / ways[MEMORY].trained,
        f"the loader with {most} workers delivers, over what training takes",
        at_least=1,
    )


if __name__ == "__main__":
    main()
