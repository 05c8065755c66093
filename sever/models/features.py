"""What an encoder sees in whole images, as one vector each; knows no masks and no normality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sever.models.network import PixelNetwork


@torch.inference_mode()
def encoder_features(network: PixelNetwork, pixels: Tensor) -> Tensor:
    """(N, F): mean and standard deviation over the image of every channel of every stage but the first, the pixels.

    `pixels`: (N, in_channels, H, W), uint8 or float in 0..255; H and W multiples of network.size_multiple. Early stages
    tell sensors and light, late ones things; means alone tell little of a texture.
    """
    network.eval()
    stages: Sequence[Tensor] = network.network.encoder(network.normalise(pixels))
    pooled = [part for stage in stages[1:] for part in _mean_and_deviation(stage.float())]
    return torch.cat(pooled, dim=1)


def _mean_and_deviation(stage: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(stage, dim=(2, 3), correction=0)
    return mean, variance.sqrt()


def features_of_images(network: PixelNetwork, images: Sequence[np.ndarray], device: torch.device | str) -> np.ndarray:
    """(N, F) float32 of images (H, W, channels) uint8 of any sizes, one at a time; edges repeat to fill multiples."""
    rows = []
    for image_hwc in images:
        multiple = network.size_multiple
        below, right = (-side % multiple for side in image_hwc.shape[:2])
        padded = np.pad(image_hwc, ((0, below), (0, right), (0, 0)), mode="edge")
        pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].to(device)
        rows.append(encoder_features(network, pixels)[0].cpu().numpy())
    return np.stack(rows)
