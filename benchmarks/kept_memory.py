"""How much memory does a small training keep that no step needs, and what does a bound (train.kept_memory) cost?

    python benchmarks/kept_memory.py
    python benchmarks/kept_memory.py --encoder tf_efficientnet_lite0 --batch 16

Each figure is of a process of its own, which trains by sever's Trainer on the CPU; after each few steps it also
sees larger images, as it does when it validates. Without a bound, and with several. What is held is looked at after
every step; a step's need is what the bounded training measured. The ratio: memory held without a bound over that with
the default one; seconds are of the processor, the median of a step.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import numpy as np
from common import QUICK_ENCODER, Clock, describe_machine, make_parser, parse, print_ratio, print_table

BOUNDS = ("null", "1.5", "1.1")
DEFAULT = "1.5"
CLASSES = 4
MIB = 2**20


def train_here(bound: float | None, options: argparse.Namespace) -> dict[str, float]:
    """The child's work."""
    import torch
    from torch.utils.data import DataLoader
    from training import MemoryImages, SilentWatcher

    from sever.config import LossSettings, ModelSettings, OptimSettings, TrainSettings
    from sever.data.samplers import EpochSampler
    from sever.models.allocator import held_bytes, keep_freed_memory
    from sever.models.device import make_accelerator
    from sever.models.label_losses import build_outputs_loss
    from sever.models.losses import num_outputs
    from sever.models.reports import StepReport
    from sever.models.segmenter import build_segmenter
    from sever.models.train import Trainer

    keep_freed_memory()

    class Meter(SilentWatcher):
        def __init__(self) -> None:
            self.times: list[Clock] = []
            self.held: list[int] = []
            self.last = Clock.now()

        def step(self, report: StepReport) -> None:
            self.times.append(self.last.since())
            self.held.append(held_bytes())
            if report.batch % options.every == 0:
                with torch.inference_mode():
                    network.eval()
                    network(torch.zeros(options.batch, 1, *(2 * side for side in options.size), dtype=torch.uint8))
                    network.train()
            self.last = Clock.now()

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    count, (height, width) = options.batch * options.steps, options.size
    pixels = torch.from_numpy(rng.integers(0, 255, (count, 1, height, width), np.uint8))
    masks = torch.from_numpy((rng.random((count, CLASSES, height, width)) < 0.05).astype(np.uint8))
    model = ModelSettings(encoder=options.encoder, weights="none", in_channels="r")
    loss = LossSettings()
    network = build_segmenter(model, num_outputs(loss.name, CLASSES), [0.4], [0.2])
    settings = TrainSettings(epochs=1, batch_size=options.batch, workers=0, kept_memory=bound)
    sampler = EpochSampler(count, 0, shuffle=False)
    loader = DataLoader(MemoryImages(pixels, masks), batch_size=options.batch, sampler=sampler)
    optim = OptimSettings(encoder_learning_rate=1e-4)
    trainer = Trainer(
        network, loader, sampler, build_outputs_loss(loss, model), optim, settings, make_accelerator("cpu", "bf16")
    )
    meter = Meter()
    trainer.fit(meter)
    seconds = float(np.median([time.processor for time in meter.times[3:] or meter.times]))
    kept = trainer.kept_memory
    return {
        "held": max(meter.held[4:] or meter.held),
        "end": meter.held[-1],
        "seconds": seconds,
        "needed": kept.needed,
        "given_back": kept.given_back,
    }


def measure(bound: str, options: argparse.Namespace) -> dict[str, float]:
    words = ["--child", bound, "--encoder", options.encoder, "--batch", options.batch, "--steps", options.steps]
    words += ["--every", options.every, "--size", *options.size]
    done = subprocess.run([sys.executable, __file__, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--encoder", default="resnet18", help="of the Unet")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), help="of a crop; validation sees twice that")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--every", type=int, default=6, help="steps between two looks at larger images")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    quick = {"encoder": QUICK_ENCODER, "batch": 2, "size": (64, 64), "steps": 6, "every": 3}
    options = parse(parser, quick)
    if options.child:
        print(json.dumps(train_here(None if options.child == "null" else float(options.child), options)))
        return
    print(describe_machine())
    found = {bound: measure(bound, options) for bound in BOUNDS}
    needed = found[DEFAULT]["needed"]
    rows = [
        (
            bound,
            f"{each['held'] / MIB:.0f}",
            f"{each['end'] / MIB:.0f}",
            f"{each['seconds']:.3f}",
            f"{each['seconds'] / found['null']['seconds']:.2f}",
            int(each["given_back"]),
        )
        for bound, each in found.items()
    ]
    print_table(["train.kept_memory", "MiB held at most", "at the end", "s a step", "times", "handed back"], rows)
    print(f"a step needs {needed / MIB:.0f} MiB")
    print_ratio(
        found["null"]["held"] / found[DEFAULT]["held"], "memory held without a bound over that with the default"
    )


if __name__ == "__main__":
    main()
