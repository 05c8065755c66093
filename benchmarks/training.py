"""What the benchmarks of training share: crops of strip in memory, and a watcher that only lets the Trainer train."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from sever.data.synthetic import make_strip
from sever.data.transforms import crop
from sever.models.checkpoint import Snapshot
from sever.models.reports import EpochReport, Position, Scores, StepReport

# Which classes a crop shows, in turn: each alone, two together, none.
SHOWN_CLASSES = ((2,), (3,), (0,), (1,), (2, 3), ())


def strip_crops(count: int, height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Crops of synthetic strip, on a defect where there is one: pixels (N, 1, H, W) uint8, masks (N, C, H, W) uint8."""
    pixels, masks = [], []
    for index in range(count):
        shown = SHOWN_CLASSES[index % len(SHOWN_CLASSES)]
        strip_hw, masks_chw = make_strip(seed, index, max(height, 64), 2 * max(width, 64), shown)
        rng = np.random.default_rng([seed, index])
        image_hwc, masks_chw = crop(strip_hw[..., None], masks_chw, rng, (height, width), mask_aware_share=1.0)
        pixels.append(image_hwc.transpose(2, 0, 1))
        masks.append(masks_chw)
    return np.stack(pixels), np.stack(masks)


class MemoryImages(TensorDataset):
    """What StripDataset gives, without files: SampleKey -> pixels and masks."""

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, ...]:
        return super().__getitem__(key[1])


class SilentWatcher:
    """For a Trainer that only trains: nothing is validated, shown or kept."""

    def step(self, report: StepReport) -> None: ...

    def validate(self, model: nn.Module, epoch: int) -> Scores:
        return {"dice": 0.0}

    def epoch(self, report: EpochReport, snapshot: Callable[[], Snapshot]) -> None: ...

    def within_epoch(self, snapshot: Callable[[], Snapshot], position: Position) -> None: ...
