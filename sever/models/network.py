"""What all our networks share: what they answer, raw pixels normalised inside, and the head that labels images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sever.errors import InputError

MAX_PIXEL = 255.0


class Outputs(NamedTuple):
    """What a network answers to a batch of images; None where it has no such head."""

    mask_logits: Tensor | None  # (N, outputs, H, W): one a class, or with background first (losses.num_outputs)
    label_logits: Tensor | None = None  # (N, C): is the class in the image? Independent of each other


class PixelNetwork(nn.Module):
    """Takes pixels (N, in_channels, H, W), uint8 or float in 0..255, and normalises them inside.

    `mean` and `std`, one an input channel in 0..1, are buffers, so that weights carry their preprocessing.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.in_channels = len(mean)
        self.size_multiple = int(network.encoder.output_stride)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def normalise(self, pixels: Tensor) -> Tensor:
        scaled = pixels.to(self.mean.dtype) / MAX_PIXEL
        return (scaled - self.mean) / self.std

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The encoder's parameters, and all others under `decoder`: together every one, once."""
        encoder = list(self.network.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        return {"encoder": encoder, "decoder": [p for p in self.parameters() if id(p) not in known]}


class LabelHead(nn.Module):
    """An encoder's last features (N, F, h, w), of any size, to label logits (N, C).

    Pools by average and by maximum, and lets one linear layer weigh both: a defect that fills a thousandth of a strip
    hardly moves the average, and one strong response says little of a texture that is wrong everywhere.
    """

    def __init__(self, features: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * features, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        return self.linear(self.dropout(pooled))


def check_pixels(in_channels: int, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raises InputError where the pixels never change, so that they can't be normalised."""
    assert len(mean) == len(std) == in_channels, f"{len(mean)} means, {len(std)} deviations, {in_channels} channels"
    if min(std) <= 0:
        raise InputError(f"the pixels' standard deviation is {list(std)}: are all images of one constant colour?")
