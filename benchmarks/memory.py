"""Claim: `train.memory: lean` trains a batch 1.8 times as large in the same peak memory, at most 35 % slower an image.

    python benchmarks/memory.py
    python benchmarks/memory.py --networks Unet:tf_efficientnet_lite0 --batch 8 --size 224 224

Each figure is of a process of its own, which trains some steps by sever's Trainer on the CPU: the highest resident
memory that the kernel saw (ru_maxrss) less that before the first step, and the median of a step's processor time. The
networks are the five of 2019, with crops of 256x480, bf16 and channels_last. Losses of both ways stand side by side.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
from common import (
    QUICK_ENCODER,
    Clock,
    describe_machine,
    make_parser,
    median_processor,
    parse,
    print_ratio,
    print_table,
)

NETWORKS_2019 = (
    "Unet:se_resnext50_32x4d",
    "Unet:efficientnet-b5",
    "FPN:se_resnext50_32x4d",
    "FPN:efficientnet-b5",
    "FPN:inceptionv4",
)
LARGER, SLOWER = 1.8, 1.35
CLASSES = 4
MIB = 1024


@dataclass
class Measured:
    """Of one process. `peak`, `before` in MiB; `seconds` of the processor a step."""

    before: float
    peak: float
    seconds: float
    losses: list[float] = field(default_factory=list)

    @property
    def of_steps(self) -> float:
        return self.peak - self.before


def highest_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


def train_here(architecture: str, encoder: str, memory: str, batch: int, options: argparse.Namespace) -> Measured:
    """The child's work: some steps on made-up pixels; what they show costs nothing and changes nothing."""
    import torch
    from torch.utils.data import DataLoader
    from training import MemoryImages, SilentWatcher

    from sever.config import LossSettings, ModelSettings, OptimSettings, TrainSettings
    from sever.data.samplers import EpochSampler
    from sever.models.device import make_accelerator
    from sever.models.label_losses import build_outputs_loss
    from sever.models.losses import num_outputs
    from sever.models.reports import StepReport
    from sever.models.segmenter import build_segmenter
    from sever.models.train import Trainer

    class Meter(SilentWatcher):
        def __init__(self) -> None:
            self.times: list[Clock] = []
            self.losses: list[float] = []
            self.last = Clock.now()

        def step(self, report: StepReport) -> None:
            self.times.append(self.last.since())
            self.losses.append(report.losses["loss"])
            self.last = Clock.now()

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    count, (height, width) = batch * options.steps, options.size
    pixels = torch.from_numpy(rng.integers(0, 255, (count, 1, height, width), np.uint8))
    masks = torch.from_numpy((rng.random((count, CLASSES, height, width)) < 0.05).astype(np.uint8))
    model = ModelSettings(architecture=architecture, encoder=encoder, weights="none", in_channels="r")
    loss = LossSettings(name="bce_dice")
    network = build_segmenter(model, num_outputs(loss.name, CLASSES), [0.4], [0.2])
    settings = TrainSettings(epochs=1, batch_size=batch, memory=memory, workers=0)
    sampler = EpochSampler(count, 0, shuffle=False)
    loader = DataLoader(MemoryImages(pixels, masks), batch_size=batch, sampler=sampler)
    optim = OptimSettings(encoder_learning_rate=1e-4)
    trainer = Trainer(
        network, loader, sampler, build_outputs_loss(loss, model), optim, settings, make_accelerator("cpu", "bf16")
    )
    meter, before = Meter(), highest_memory()
    trainer.fit(meter)
    return Measured(before, highest_memory(), median_processor(meter.times[1:] or meter.times), meter.losses)


def measure(network: str, memory: str, batch: int, options: argparse.Namespace) -> Measured:
    size = [str(side) for side in options.size]
    words = ["--child", network, memory, str(batch), "--steps", str(options.steps), "--size", *size]
    done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--networks", nargs="+", default=NETWORKS_2019, metavar="ARCHITECTURE:ENCODER")
    parser.add_argument("--batch", type=int, default=5, help="of plain training; lean takes 1.8 times as many")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 480), help="height and width in pixels")
    parser.add_argument("--steps", type=int, default=3, help="of each training; the first one is not timed")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parse(parser, {"networks": [f"Unet:{QUICK_ENCODER}"], "batch": 2, "size": (64, 64), "steps": 2})
    if options.child:
        network, memory, batch = options.child
        architecture, encoder = network.split(":")
        print(json.dumps(vars(train_here(architecture, encoder, memory, int(batch), options))))
        return
    print(describe_machine())
    compare(options)


def compare(options: argparse.Namespace) -> None:
    """A row a network: plain, lean, and lean with the larger batch."""
    larger = int(np.ceil(LARGER * options.batch))
    rows, fits, slower = [], [], []
    for network in options.networks:
        plain = measure(network, "full", options.batch, options)
        lean = measure(network, "lean", options.batch, options)
        large = measure(network, "lean", larger, options)
        fits.append(plain.of_steps / large.of_steps)
        slower.append(lean.seconds / plain.seconds)
        apart = max(abs(one - other) for one, other in zip(plain.losses, lean.losses, strict=True))
        memory = [f"{each.of_steps:.0f}" for each in (plain, lean, large)]
        rows.append([network.replace(":", " "), *memory, f"{slower[-1]:.2f}", f"{apart:.1e}"])
    heads = (f"full, {options.batch} images", f"lean, {options.batch}", f"lean, {larger}")
    print_table(["MiB at the peak, of the steps", *heads, "time of lean", "losses differ by"], rows)
    print(f"a lean step takes {max(slower):.2f} times as long, on the slowest network; claim: at most {SLOWER}")
    print_ratio(min(fits), f"memory of {options.batch} images over that of {larger} lean ones, the worst network", 1.0)


if __name__ == "__main__":
    main()
