"""What an encoder sees in whole images, as one vector each; knows no masks and no normality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sever.models.network import PixelNetwork


class EncoderFeatures(nn.Module):
    """Pixels (N, H, W, channels) uint8 to (N, F): mean and standard deviation over the image of every channel of every
    stage but the first, the pixels; H and W multiples of network.size_multiple.

    Early stages tell sensors and light, late ones things; means alone tell little of a texture.
    """

    def __init__(self, network: PixelNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels_nhwc: Tensor) -> Tensor:
        pixels = self.network.normalise(pixels_nhwc.permute(0, 3, 1, 2))
        stages: Sequence[Tensor] = self.network.network.encoder(pixels)
        pooled = [part for stage in stages[1:] for part in _mean_and_deviation(stage.float())]
        return torch.cat(pooled, dim=1)


def _mean_and_deviation(stage: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(stage, dim=(2, 3), correction=0)
    return mean, variance.sqrt()


@dataclass(frozen=True)
class TorchFeatures:
    """The same as a plain function of arrays: pixels (N, H, W, channels) uint8 to (N, F) float32."""

    network: PixelNetwork
    device: torch.device | str = "cpu"

    @torch.inference_mode()
    def __call__(self, pixels_nhwc: np.ndarray) -> np.ndarray:
        self.network.eval()
        found: Tensor = EncoderFeatures(self.network)(torch.from_numpy(pixels_nhwc).to(self.device))
        return found.cpu().numpy()
