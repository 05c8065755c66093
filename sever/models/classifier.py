"""The network from raw pixels to image labels, normalisation included; knows nothing of files, names or training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from sever.config import ModelSettings
from sever.models.architectures import STAGES, find_encoder
from sever.models.blueprint import TRIAL_SIDE, as_encoder_options, explaining_misfits
from sever.models.network import LabelHead, Outputs, PixelNetwork, check_pixels
from sever.models.stem import recycle_stem
from sever.models.weights import build_with_weights

UNDILATED = 32  # stride of the last features of an encoder left as it is


class Classifier(PixelNetwork):
    """Pixels (N, in_channels, H, W), uint8 or float in 0..255, of any size, to label logits (N, C).

    Labels are independent: an image may show several classes, or none. It is fully convolutional; `size_multiple` is
    only what images are padded to when they share a batch.
    """

    def forward(self, pixels: Tensor) -> Outputs:
        return Outputs(None, self.network(self.normalise(pixels)))


class EncoderAndHead(nn.Module):
    """An encoder, of which only the last features count, and its LabelHead."""

    def __init__(self, encoder: Any, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = LabelHead(encoder.out_channels[-1], num_classes, dropout)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.encoder(pixels)[-1])


@dataclass(frozen=True)
class ClassifierBlueprint:
    """All that shapes a classifier, weights aside; it can be built any number of times."""

    encoder_name: str
    settings: ModelSettings
    num_classes: int

    def build(self, **weights: Any) -> EncoderAndHead:
        """A fresh network for three channels, with random weights or those that SMP fetches for `weights`."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`timm-` encoders are deprecated", DeprecationWarning)
            encoder = get_encoder(
                self.encoder_name,
                depth=STAGES,
                output_stride=self.settings.output_stride or UNDILATED,
                **as_encoder_options(weights),
            )
        return EncoderAndHead(encoder, self.num_classes, self.settings.label_dropout)

    @torch.no_grad()
    def try_out(self, network: EncoderAndHead, in_channels: int) -> None:
        """Run one blank image, so that an encoder that doesn't do is told now and not in the middle of a training."""
        network.eval()
        label_logits = network(torch.zeros(1, in_channels, TRIAL_SIDE, 2 * TRIAL_SIDE))
        assert label_logits.shape == (1, self.num_classes), tuple(label_logits.shape)
        network.train()

    def explaining_misfits(self) -> AbstractContextManager[None]:
        """Turn what SMP or timm raise for an encoder that doesn't do into an InputError that says what does."""
        return explaining_misfits(self._misfit_message)

    def _misfit_message(self, reason: str) -> str:
        stride = self.settings.output_stride
        return (
            f"a classifier does not work with encoder {self.encoder_name}"
            f"{f' at output_stride {stride}' if stride else ''}: {reason}. It needs an encoder that takes images "
            "of any size and has features at strides 4, 8, 16 and 32, such as resnet34, se_resnext50_32x4d, "
            "efficientnet-b5, tf_efficientnet_lite0 or tu-convnext_tiny, and not a plain vision transformer"
        )


def build_classifier(
    settings: ModelSettings, num_classes: int, mean: Sequence[float], std: Sequence[float], pretrained: bool = True
) -> Classifier:
    """Build the classifier of `settings`; `pretrained=False` fetches no weights, for loading a checkpoint.

    Raises InputError for a wrong name, an encoder that doesn't do, and weights that can't be had.
    """
    in_channels = 3 if settings.in_channels == "rgb" else 1
    check_pixels(in_channels, mean, std)
    blueprint = ClassifierBlueprint(find_encoder(settings.encoder), settings, num_classes)
    with blueprint.explaining_misfits():
        network: Any = blueprint.build()
        recycle_stem(network.encoder, settings.in_channels)
        blueprint.try_out(network, in_channels)
    if pretrained and settings.weights != "none":
        # Only now, so that a fault in the settings is told before anything is fetched.
        network = build_with_weights(blueprint)
    return Classifier(network, mean, std)
