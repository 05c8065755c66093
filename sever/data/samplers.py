"""The order in which images are seen; knows nothing of images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class SampleKey(NamedTuple):
    """Which image, and in which pass over the data: together they fix its random changes."""

    epoch: int
    row: int


class EpochSampler(Sampler[SampleKey]):
    """Every row once an epoch, in an order that depends on (seed, epoch) alone.

    `set_position` says where the next iteration starts, also in mid-epoch; its length is what is left of
    that. It may stand in any DataLoader: the order is drawn in the main process, whatever the workers.
    """

    def __init__(self, num_rows: int, seed: int, shuffle: bool) -> None:
        self.num_rows, self.seed, self.shuffle = num_rows, seed, shuffle
        self.epoch, self.skip = 0, 0

    def set_position(self, epoch: int, skip: int = 0) -> None:
        """Start the next iteration in this epoch, after `skip` samples that were already used."""
        assert 0 <= skip <= self.num_rows, (skip, self.num_rows)
        self.epoch, self.skip = epoch, skip

    def __len__(self) -> int:
        return self.num_rows - self.skip

    def __iter__(self) -> Iterator[SampleKey]:
        epoch, rows = self.epoch, self._order()[self.skip :]
        return (SampleKey(epoch, int(row)) for row in rows)

    def _order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.num_rows)
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.num_rows)
