"""How familiar an image is to a network: its encoder's features against those of normal images; no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sever.data.images import Channels, to_grey
from sever.decide.familiarity import Normality

# Images (H, W, channels) uint8 of any sizes to what an encoder sees in each, (N, F), whatever library it runs in.
Features = Callable[[Sequence[np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Familiar:
    """What sees features, and what is normal among them."""

    features: Features
    channels: Channels
    normality: Normality

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(N,) in 0..1 of images (H, W, channels) uint8, by `Normality.familiarity`; a grey network takes colours."""
        return self.normality.familiarity(self.features([self._fitted(image_hwc) for image_hwc in images]))

    def _fitted(self, image_hwc: np.ndarray) -> np.ndarray:
        return to_grey(image_hwc) if self.channels == 1 and image_hwc.shape[2] == 3 else image_hwc
