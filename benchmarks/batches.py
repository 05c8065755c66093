"""Claim: batches that go between processes through a pipe come no slower than through shared memory.

    python benchmarks/batches.py

One loader process hands over batches of 8 crops of 256x416, one grey channel and four masks, as training has them; no
image is read, so that little but the way between the processes is measured. Both ways in turn.
"""

from __future__ import annotations

import torch
from common import Clock, describe_machine, make_parser, parse, print_ratio, print_table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sever.data.batch import TrainingBatch

BATCH, HEIGHT, WIDTH, CLASSES = 8, 256, 416, 4
REPEATS = 5


class Samples(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pixels = torch.full((1, HEIGHT, WIDTH), index % 7, dtype=torch.uint8)
        return pixels, torch.zeros(CLASSES, HEIGHT, WIDTH, dtype=torch.uint8)


def by_shared_memory(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.stack([pixels for pixels, _ in samples]), torch.stack([masks for _, masks in samples])


def by_pipe(samples: list[tuple[Tensor, Tensor]]) -> TrainingBatch:
    return TrainingBatch(*by_shared_memory(samples))


WAYS = {"shared memory": by_shared_memory, "pipe": by_pipe}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--batches", type=int, default=60)
    options = parse(parser, {"batches": 4})
    print(describe_machine())
    times: dict[str, list[Clock]] = {name: [] for name in WAYS}
    for _ in range(REPEATS):
        for name, collate in WAYS.items():
            start = Clock.now()
            for pixels, _masks in DataLoader(
                Samples(BATCH * options.batches), BATCH, num_workers=1, collate_fn=collate
            ):
                pixels.sum()
            times[name].append(start.since())
    best = {name: min(clock.wall for clock in clocks) / options.batches for name, clocks in times.items()}
    own = {name: min(clock.processor for clock in clocks) / options.batches for name, clocks in times.items()}
    rows = [(name, f"{1e3 * best[name]:.1f}", f"{1e3 * own[name]:.1f}") for name in WAYS]
    print_table(("way", "ms a batch", "of these the training process's own"), rows)
    print_ratio(best["shared memory"] / best["pipe"], "shared memory over pipe, wall clock, best of 5", 0.9)


if __name__ == "__main__":
    main()
