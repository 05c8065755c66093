"""Scalars and pictures of a training run for TensorBoard; knows nothing of how they come about."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter


class TensorBoardLog:
    """Event files in `folder`; `purge_step` hides what a killed run logged beyond its last checkpoint."""

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        self._folder, self._purge_step = folder, purge_step

    @cached_property
    def _writer(self) -> SummaryWriter:
        """Made when there is something to write: of several processes that train, one does."""
        return SummaryWriter(str(self._folder), purge_step=self._purge_step)

    def scalars(self, prefix: str, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{prefix}/{name}", value, step)

    def picture(self, name: str, image_hwc: np.ndarray, step: int) -> None:
        """`image_hwc`: RGB uint8."""
        self._writer.add_image(name, image_hwc, step, dataformats="HWC")

    def close(self) -> None:
        if "_writer" in vars(self):
            self._writer.close()
