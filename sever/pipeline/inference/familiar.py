"""How familiar an image is to a trained run: its encoder's features against those of normal images; needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sever.data.images import to_grey
from sever.decide.familiarity import Normality
from sever.models.features import features_of_images
from sever.models.network import PixelNetwork


@dataclass(frozen=True)
class Familiar:
    """A network and what it knows as normal."""

    network: PixelNetwork
    device: torch.device
    normality: Normality

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(N,) in 0..1 of images (H, W, channels) uint8, by `Normality.familiarity`."""
        return self.normality.familiarity(self.features(images))

    def features(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return features_of(self.network, self.device, images)


def features_of(network: PixelNetwork, device: torch.device, images: Sequence[np.ndarray]) -> np.ndarray:
    """(N, F) float32; a grey network takes colours, too."""
    fitted = [to_grey(image) if network.in_channels == 1 and image.shape[2] == 3 else image for image in images]
    return features_of_images(network, fitted, device)
