"""The network from raw pixels to mask logits, normalisation included; knows nothing of files, names or training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from sever.config import ModelSettings
from sever.models.architectures import check_settings, find_architecture, find_encoder
from sever.models.blueprint import Blueprint
from sever.models.network import Outputs, PixelNetwork, check_pixels
from sever.models.stem import recycle_stem
from sever.models.weights import build_with_weights


class Segmenter(PixelNetwork):
    """Pixels (N, in_channels, H, W), uint8 or float in 0..255, to mask logits (N, outputs, H, W).

    With a label head also to label logits (N, C). H and W must be multiples of `size_multiple`.
    """

    def __init__(self, network: Any, mean: Sequence[float], std: Sequence[float], shrink: int = 1) -> None:
        super().__init__(network, mean, std)
        self.shrink = shrink
        self.size_multiple *= shrink

    def forward(self, pixels: Tensor) -> Outputs:
        images = self.normalise(pixels)
        answer = self.network(F.avg_pool2d(images, self.shrink) if self.shrink > 1 else images)
        masks, *labels = answer if isinstance(answer, tuple) else (answer,)
        if self.shrink > 1:
            masks = F.interpolate(masks, scale_factor=float(self.shrink), mode="bilinear", align_corners=False)
        return Outputs(masks, *labels)


def build_segmenter(
    settings: ModelSettings,
    num_outputs: int,
    mean: Sequence[float],
    std: Sequence[float],
    pretrained: bool = True,
    num_labels: int = 0,
) -> Segmenter:
    """Build the network of `settings`; `pretrained=False` fetches no weights, for loading a checkpoint.

    `num_labels`: classes of its label head, 0 for none. Raises InputError for a wrong name, a setting the architecture
    can't carry out, a pair that doesn't fit, and weights that can't be had.
    """
    in_channels = 3 if settings.in_channels == "rgb" else 1
    check_pixels(in_channels, mean, std)
    architecture = find_architecture(settings.architecture)
    encoder_name = find_encoder(settings.encoder)
    check_settings(architecture, settings)
    blueprint = Blueprint(architecture, encoder_name, settings, num_outputs, num_labels)
    with blueprint.explaining_misfits():
        network = blueprint.build()
        recycle_stem(network.encoder, settings.in_channels)
        blueprint.try_out(network, in_channels)
    if pretrained and settings.weights != "none":
        # Only now, so that a fault in the settings is told before anything is fetched.
        network = build_with_weights(blueprint)
    return Segmenter(network, mean, std, settings.shrink)
