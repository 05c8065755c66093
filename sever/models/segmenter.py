"""The network from raw pixels to logits, normalisation included; knows nothing of files, class names or training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sever.config import ModelSettings
from sever.errors import InputError
from sever.models.architectures import check_settings, find_architecture, find_encoder
from sever.models.blueprint import Blueprint
from sever.models.hub import build_from_hub
from sever.models.pretrained import load_and_recycle
from sever.models.stem import recycle_stem

MAX_PIXEL = 255.0


class Segmenter(nn.Module):
    """Pixels (N, in_channels, H, W), uint8 or float in 0..255, to logits (N, outputs, H, W).

    H and W must be multiples of `size_multiple`. `mean` and `std`, one an input channel in 0..1, are buffers, so
    that weights carry their preprocessing.
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

    def forward(self, pixels: Tensor) -> Tensor:
        scaled = pixels.to(self.mean.dtype) / MAX_PIXEL
        return self.network((scaled - self.mean) / self.std)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The encoder's parameters, and all others under `decoder`: together every one, once."""
        encoder = list(self.network.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        return {"encoder": encoder, "decoder": [p for p in self.parameters() if id(p) not in known]}


def build_segmenter(
    settings: ModelSettings, num_outputs: int, mean: Sequence[float], std: Sequence[float], pretrained: bool = True
) -> Segmenter:
    """Build the network of `settings`; `pretrained=False` fetches no weights, for loading a checkpoint.

    Raises InputError for a wrong name, a setting the architecture can't carry out, a pair that doesn't fit,
    and weights that can't be had.
    """
    in_channels = 3 if settings.in_channels == "rgb" else 1
    assert len(mean) == len(std) == in_channels, f"{len(mean)} means, {len(std)} deviations, {in_channels} channels"
    if min(std) <= 0:
        raise InputError(f"the pixels' standard deviation is {list(std)}: are all images of one constant colour?")
    architecture = find_architecture(settings.architecture)
    encoder_name = find_encoder(settings.encoder)
    check_settings(architecture, settings)
    blueprint = Blueprint(architecture, encoder_name, settings, num_outputs)
    with blueprint.explaining_misfits():
        network = blueprint.build()
        recycle_stem(network.encoder, settings.in_channels)
        blueprint.try_out(network, in_channels)
    if pretrained and settings.weights != "none":
        # Only now, so that a fault in the settings is told before anything is fetched.
        network = _with_weights(blueprint)
    return Segmenter(network, mean, std)


def _with_weights(blueprint: Blueprint) -> Any:
    """Three-channel weights first, then the grey stem made from them."""
    settings = blueprint.settings
    if settings.weights == "hub":
        network = build_from_hub(blueprint)
        recycle_stem(network.encoder, settings.in_channels)
    else:
        network = blueprint.build()
        load_and_recycle(network.encoder, blueprint.encoder_name, settings.weights, settings.in_channels)
    return network
