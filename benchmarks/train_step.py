"""Claim: a training step of sever is at least 2.5 times as fast as a plain fp32 loop, and the losses fall alike.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --encoder tf_efficientnet_lite0 --parts

sever's step is that of `sever train`: its Trainer with accelerate, bf16, channels_last, clipping and RAdam. The plain
loop is what one writes first: the same SMP model with the same first weights, fp32, contiguous NCHW, the same loss,
clipping and optimiser. Both see the same batches of synthetic strip, already in memory (the plain one even already
normalised, as float), and run in turn, step by step, in this one process. `--parts` adds loops between the two, which
shows what bf16 and channels_last bring each, and what the Trainer costs. bf16 pays on processors with units for it;
they are named on top.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from common import (
    QUICK_ENCODER,
    Clock,
    describe_machine,
    make_parser,
    parse,
    print_ratio,
    print_table,
)
from torch import Tensor, nn
from torch.utils.data import DataLoader
from training import MemoryImages, SilentWatcher, strip_crops

from sever.config import LossSettings, ModelSettings, OptimSettings, TrainSettings
from sever.data.samplers import EpochSampler
from sever.models.device import make_accelerator
from sever.models.label_losses import build_outputs_loss
from sever.models.losses import build_loss, num_outputs
from sever.models.network import MAX_PIXEL
from sever.models.optim import build_optimizer
from sever.models.reports import StepReport
from sever.models.segmenter import Segmenter, build_segmenter
from sever.models.train import Trainer

AT_LEAST = 2.5
# The first step of each way also sets up its memory and kernels.
WARM_UP_STEPS = 2
# One rate throughout: the plain loop has no schedule.
OPTIM = OptimSettings(encoder_learning_rate=4e-4, flat_share=1.0)
LOSS = LossSettings(name="bce_dice")
PLAIN, OURS = "plain fp32 loop", "sever's Trainer"
PARTS = {
    "fp32, channels_last": (False, True),
    "bf16": (True, False),
    "bf16, channels_last": (True, True),
}


@dataclass
class PlainLoop:
    """A training step as one writes it first; `bf16` and `channels_last` are the two things that one then tries."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    clip_norm: float | None
    bf16: bool = False
    channels_last: bool = False
    losses: list[float] = field(default_factory=list)
    times: list[Clock] = field(default_factory=list)

    @cached_property
    def loss(self) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
        return build_loss(LOSS)

    def step(self, images: Tensor, target: Tensor) -> None:
        start = Clock.now()
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.network(images)
        loss = self.loss(logits, target)["loss"]
        loss.backward()
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.optimizer.step()
        self.losses.append(loss.item())
        self.times.append(start.since())


def make_loop(segmenter: Segmenter, clip_norm: float | None, bf16: bool, channels_last: bool) -> PlainLoop:
    """Its own copy of the weights, and an optimiser of the same settings."""
    segmenter = copy.deepcopy(segmenter)
    if channels_last:
        segmenter = segmenter.to(memory_format=torch.channels_last)
    segmenter.train()
    optimizer = build_optimizer(segmenter.parameter_groups(), OPTIM)
    return PlainLoop(segmenter.network, optimizer, clip_norm, bf16, channels_last)


@dataclass
class TurnTaker(SilentWatcher):
    """Watches the Trainer: after each of its steps every other loop takes the same step, on the same batch."""

    loops: dict[str, PlainLoop]
    batches: Sequence[tuple[Tensor, Tensor]]
    losses: list[float] = field(default_factory=list)
    times: list[Clock] = field(default_factory=list)
    processor: float = field(default_factory=lambda: Clock.now().processor)

    def step(self, report: StepReport) -> None:
        self.times.append(Clock(report.seconds, Clock.now().processor - self.processor))
        self.losses.append(report.losses["loss"])
        for loop in self.loops.values():
            loop.step(*self.batches[report.batch - 1])
        self.processor = Clock.now().processor


def batches_of(dataset: MemoryImages, batch_size: int, mean: Tensor, std: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches as the plain loop takes them: normalised float images."""
    for pixels, masks in zip(*(tensor.split(batch_size) for tensor in dataset.tensors), strict=True):
        yield (pixels.float() / MAX_PIXEL - mean) / std, masks.float()


def train_in_turns(options: argparse.Namespace) -> TurnTaker:
    """Train by the Trainer and by the loops, in turn, from the same weights on the same batches."""
    size = (options.size, options.size)
    pixels, masks = (torch.from_numpy(array) for array in strip_crops(options.images, *size, seed=options.seed))
    dataset = MemoryImages(pixels, masks)
    mean, std = float(pixels.float().mean()) / MAX_PIXEL, float(pixels.float().std()) / MAX_PIXEL
    settings = TrainSettings(
        epochs=-(-(options.steps + WARM_UP_STEPS) * options.batch // options.images),
        batch_size=options.batch,
        seed=options.seed,
    )
    torch.manual_seed(options.seed)
    model = ModelSettings(architecture=options.architecture, encoder=options.encoder, weights=options.weights)
    segmenter = build_segmenter(model, num_outputs(LOSS.name, masks.shape[1]), [mean], [std])
    variants = {PLAIN: (False, False)} | (PARTS if options.parts else {})
    loops = {name: make_loop(segmenter, settings.clip_norm, *variant) for name, variant in variants.items()}
    batches = list(batches_of(dataset, options.batch, segmenter.mean, segmenter.std))
    sampler = EpochSampler(len(dataset), options.seed, shuffle=False)
    loader = DataLoader(dataset, batch_size=options.batch, sampler=sampler)
    watcher = TurnTaker(loops, batches)
    accelerator = make_accelerator("cpu", settings.precision)
    loss = build_outputs_loss(LOSS, model)
    Trainer(segmenter, loader, sampler, loss, OPTIM, settings, accelerator).fit(watcher)
    return watcher


def tell_speed(watcher: TurnTaker, batch: int) -> None:
    """Images a second of each way, and how many times as fast as the plain loop it is, step by step."""
    times = {name: loop.times for name, loop in watcher.loops.items()} | {OURS: watcher.times}
    plain = np.array([[time.wall, time.processor] for time in times[PLAIN][WARM_UP_STEPS:]])
    rows, ratio = [], 0.0
    for name, clocks in times.items():
        seconds = np.array([[time.wall, time.processor] for time in clocks[WARM_UP_STEPS:]])
        ratio, of_processor = np.median(plain / seconds, axis=0)
        speed = batch / np.median(seconds, axis=0)
        rows.append([name, f"{speed[0]:.2f}", f"{speed[1]:.2f}", f"{ratio:.2f}", f"{of_processor:.2f}"])
    print_table(["", "images/s", "by processor time", "times plain", "by processor time"], rows)
    print_ratio(ratio, f"median of {len(plain)} steps in turn", AT_LEAST)


def tell_losses(watcher: TurnTaker, shown: int) -> None:
    """Both curves, a line for each stretch of steps with its mean losses."""
    ours, plain = np.array(watcher.losses), np.array(watcher.loops[PLAIN].losses)
    rows = []
    for steps in np.array_split(np.arange(len(ours)), min(shown, len(ours))):
        means = ours[steps].mean(), plain[steps].mean()
        rows.append(
            [f"{steps[0] + 1}-{steps[-1] + 1}", *(f"{mean:.4f}" for mean in means), f"{means[0] - means[1]:+.4f}"]
        )
    print_table(["mean loss in steps", OURS, PLAIN, "difference"], rows)
    largest = np.abs(ours - plain).max()
    fallen = plain[0] - plain[-1]
    print(
        f"largest difference in one step {largest:.4f}; from first to last the plain loop's loss fell by {fallen:.4f}"
    )


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--architecture", default="Unet")
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--weights", default="none", help="none, offline, hub, or a file")
    parser.add_argument("--size", type=int, default=256, help="height and width of the images, in pixels")
    parser.add_argument("--batch", type=int, default=8, help="images a step")
    parser.add_argument("--images", type=int, default=64, help="different images, a multiple of --batch")
    parser.add_argument("--steps", type=int, default=38, help="at least so many are timed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", action="store_true", help="also time the loops between the two")
    options = parse(parser, {"encoder": QUICK_ENCODER, "size": 64, "batch": 2, "images": 4, "steps": 4})
    if options.images % options.batch:
        parser.error("--images must be a multiple of --batch")
    print(describe_machine())
    print(
        f"{options.architecture} {options.encoder}, {options.batch} images of {options.size}x{options.size} a step, "
        f"loss {LOSS.name}, {OPTIM.name}"
    )
    watcher = train_in_turns(options)
    tell_losses(watcher, shown=10)
    tell_speed(watcher, options.batch)


if __name__ == "__main__":
    main()
