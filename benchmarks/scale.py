"""How many machines, hours and bytes do 10^4 to 10^10 images take, and what is in the way first?

    python benchmarks/scale.py
    python benchmarks/scale.py --hours 168 --store-gbit 100 --encoder tf_efficientnet_lite0

First this machine is measured, a core at a time: reading and decoding a strip, the network, and the rules. Then a job
is simulated, shard by shard: workers of two cores fetch shards from one store, which shares its bandwidth among them,
and read while they compute; a coordinator commits each result; workers die at random and their shard is done again.
What is not measured is an option: bandwidths, failures, the price. The last line says which part of the ideal speed
(all cores busy with images all the time) is left of the largest job.
"""

from __future__ import annotations

import heapq
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from common import QUICK_ENCODER, describe_machine, make_parser, parse, print_ratio, print_table

from sever.config import LossSettings, ModelSettings, RuleSettings
from sever.data.images import read_image
from sever.data.synthetic import make_strip
from sever.decide.postprocess import draw_masks
from sever.decide.rules import resolve_rules
from sever.decide.windows import Windows
from sever.models.forward import TorchForward
from sever.models.losses import num_outputs, probabilities
from sever.models.segmenter import build_segmenter

CLASSES, CORES = 4, 2
HEIGHT, WIDTH, METRES_A_PIXEL = 256, 1600, 0.001
START_SECONDS, RESTART_SECONDS = 20.0, 60.0  # of a worker: libraries and model; a new machine for a dead one
MEGA, GIGA_BITS = 1e6, 1e9 / 8


@dataclass(frozen=True)
class Rates:
    """What one image costs: bytes in and out, and processor seconds of each step."""

    bytes_in: float
    bytes_out: float
    decode: float
    network: float
    rules: float

    @property
    def processor(self) -> float:
        return self.decode + self.network + self.rules


@dataclass(frozen=True)
class Cluster:
    """Workers of CORES cores, and what they share. Bandwidths in bytes a second."""

    workers: int
    worker_bandwidth: float
    store_bandwidth: float
    failures_an_hour: float  # of one worker
    commit_seconds: float  # of the coordinator, a shard

    @property
    def bandwidth(self) -> float:
        """What one worker gets while all read."""
        return min(self.worker_bandwidth, self.store_bandwidth / self.workers)


@dataclass(frozen=True)
class Outcome:
    seconds: float
    worker_seconds: float  # until each worker's last shard
    lost_seconds: float  # of shards that were done again
    commit_seconds: float

    def bottleneck(self, rates: Rates, cluster: Cluster) -> str:
        """What takes longest: the cores, a worker's line, the store, or the coordinator."""
        transfer = (rates.bytes_in + rates.bytes_out) / cluster.bandwidth
        line = "store" if cluster.store_bandwidth / cluster.workers < cluster.worker_bandwidth else "worker's line"
        if self.commit_seconds > 0.5 * self.seconds:
            return "coordinator"
        return line if transfer > rates.processor / CORES else "cores"


def simulate(images: int, shard: int, rates: Rates, cluster: Cluster, seed: int = 0) -> Outcome:
    """Shards of `shard` images, in turn to whichever worker is free first, until all are committed."""
    rng = np.random.default_rng(seed)
    a_image = max(rates.processor / CORES, (rates.bytes_in + rates.bytes_out) / cluster.bandwidth)
    left, lost, committed, commits = math.ceil(images / shard), 0.0, 0.0, 0.0
    last = images - (left - 1) * shard
    free = [START_SECONDS] * cluster.workers
    ends = START_SECONDS
    while left:
        begin = heapq.heappop(free)
        needs = a_image * (last if left == 1 else shard)
        dies = rng.exponential(3600 / cluster.failures_an_hour) if cluster.failures_an_hour else math.inf
        if dies < needs:
            lost += dies
            heapq.heappush(free, begin + dies + RESTART_SECONDS + START_SECONDS)
            continue
        left -= 1
        heapq.heappush(free, begin + needs)
        ends = max(ends, begin + needs)
        committed = max(committed, begin + needs) + cluster.commit_seconds
        commits += cluster.commit_seconds
    return Outcome(max(ends, committed), ends * cluster.workers, lost, commits)


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """Median processor seconds of one core."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times[1:]))  # the first one also sets up memory


def measure(folder: Path, encoder: str, height: int, width: int, repeats: int) -> Rates:
    """One strip through every step, on one thread, from a JPEG to masks."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    pixels_hw, masks_chw = make_strip(0, 0, height, width, (2,))
    path = folder / "strip.jpg"
    cv2.imwrite(str(path), pixels_hw, [cv2.IMWRITE_JPEG_QUALITY, 95])
    settings = ModelSettings(architecture="Unet", encoder=encoder, weights="none")
    segmenter = build_segmenter(settings, num_outputs(LossSettings().name, CLASSES), [0.5], [0.2], False)
    forward = TorchForward(segmenter, lambda logits: probabilities(logits, LossSettings().name), precision="bf16")
    image_hwc = read_image(path, 1)
    # Untrained, the network would find something everywhere: the rules are timed on the strip's own defect.
    levels_chw, rules = masks_chw * np.uint8(230), resolve_rules(RuleSettings(), CLASSES)
    return Rates(
        path.stat().st_size,
        200.0,  # a row of a table: an id, classes, areas and short run lengths
        seconds_of(lambda: read_image(path, 1), repeats),
        seconds_of(lambda: Windows().predict([image_hwc], forward), repeats),
        seconds_of(lambda: draw_masks(levels_chw, rules), repeats),
    )


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--encoder", default="resnet18", help="of the Unet that is measured")
    parser.add_argument("--images-per-second", type=float, help="of one core, instead of the measured network")
    parser.add_argument("--bytes", type=float, help="of one image, instead of the synthetic strip's")
    parser.add_argument("--hours", type=float, default=24, help="in which a job is to be done; sets the workers")
    parser.add_argument("--shard-minutes", type=float, default=10, help="that a shard takes one worker")
    parser.add_argument("--worker-gbit", type=float, default=10, help="of a worker's line")
    parser.add_argument("--store-gbit", type=float, default=400, help="of the store, for all workers together")
    parser.add_argument("--failures", type=float, default=0.01, help="of one worker, an hour")
    parser.add_argument("--commit-ms", type=float, default=5, help="of the coordinator, a shard")
    parser.add_argument("--core-hour", type=float, default=0.04, help="price of one core for one hour")
    parser.add_argument("--largest", type=int, default=10, help="power of ten of the largest job")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--size", type=int, nargs=2, default=(HEIGHT, WIDTH))
    options = parse(parser, {"encoder": QUICK_ENCODER, "largest": 6, "repeats": 1, "size": (64, 64)})
    print(describe_machine())
    height, width = options.size
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(Path(folder), options.encoder, height, width, options.repeats)
    if options.images_per_second:
        rates = Rates(rates.bytes_in, rates.bytes_out, rates.decode, 1 / options.images_per_second, rates.rules)
    if options.bytes:
        rates = Rates(options.bytes, rates.bytes_out, rates.decode, rates.network, rates.rules)
    print(
        f"one image: {rates.bytes_in / 1e3:.0f} kB in; on one core {1e3 * rates.decode:.1f} ms to decode, "
        f"{1e3 * rates.network:.0f} ms in the network, {1e3 * rates.rules:.2f} ms for the rules"
    )
    rows, share = [], 1.0
    for power in range(4, options.largest + 1):
        images = 10**power
        workers = max(1, math.ceil(images * rates.processor / CORES / (0.95 * 3600 * options.hours)))
        shard = max(1, min(math.ceil(images / workers), int(options.shard_minutes * 60 * CORES / rates.processor)))
        cluster = Cluster(
            workers,
            options.worker_gbit * GIGA_BITS,
            options.store_gbit * GIGA_BITS,
            options.failures,
            options.commit_ms / 1e3,
        )
        done = simulate(images, shard, rates, cluster)
        ideal = images * rates.processor / CORES / workers
        share = ideal / done.seconds
        core_hours = done.worker_seconds * CORES / 3600
        rows.append(
            (
                f"10^{power}",
                f"{images * rates.bytes_in / 1e12:.3g}",
                f"{images * HEIGHT * METRES_A_PIXEL / 1e3:.3g}",
                workers,
                math.ceil(images / shard),
                f"{done.seconds / 3600:.3g}",
                f"{core_hours:.3g}",
                f"{core_hours * options.core_hour:.3g}",
                f"{images * rates.bytes_in / done.seconds / GIGA_BITS:.2g}",
                f"{done.lost_seconds / done.worker_seconds:.1%}",
                done.bottleneck(rates, cluster),
            )
        )
    head = [
        "images",
        "TB",
        "km of strip",
        "workers",
        "shards",
        "hours",
        "core-hours",
        "price",
        "Gbit/s",
        "done again",
        "bottleneck",
    ]
    print_table(head, rows)
    print_ratio(share, "of the ideal speed, for the largest job")


if __name__ == "__main__":
    main()
