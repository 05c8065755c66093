"""Architectures and encoders by name, and which settings each takes; knows nothing of how a network is built."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

import segmentation_models_pytorch as smp
import timm
from segmentation_models_pytorch.encoders import encoders as smp_encoders
from torch import nn

from sever.config import ModelSettings
from sever.errors import InputError

STAGES = 5  # features of stride 2, 4, 8, 16, 32
FEWEST_STAGES = 3  # of a decoder
TIMM_PREFIX = "tu-"

# What an architecture asks of its encoder.
NEEDS = {
    "any": "an encoder with features at strides 4, 8, 16 and 32, such as resnet34, efficientnet-b5 or "
    "tf_efficientnet_lite0 (a plain vision transformer goes with DPT)",
    "dilation": "an encoder that can be dilated, such as resnet34, se_resnext50_32x4d, efficientnet-b5, "
    "tf_efficientnet_lite0 or res2net50_26w_4s, and not inceptionv4, densenet, vgg or xception",
    "half_scale": "a convolutional encoder with features at half the image's size, not mit_b* or other transformers",
    "vit": "a vision transformer of timm, such as tu-vit_small_patch16_224",
}


@dataclass(frozen=True)
class Architecture:
    """One architecture of segmentation_models_pytorch and the names of the options we set."""

    network: type[nn.Module]
    needs: str = "any"
    dropout_option: str | None = None  # None: it has no dropout of its own, so we drop before the head
    stride_option: str | None = None  # None: its decoder can't follow a dilated encoder
    stage_channels: bool = False  # takes decoder_channels as one number a stage
    can_stop_early: bool = False  # its decoder works without its last stages
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.network.__name__


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name.lower(): architecture
    for architecture in (
        Architecture(smp.Unet, stride_option="output_stride", stage_channels=True, can_stop_early=True),
        Architecture(smp.UnetPlusPlus, needs="half_scale", stage_channels=True),
        Architecture(smp.MAnet, needs="half_scale", stage_channels=True),
        Architecture(smp.Linknet, needs="half_scale"),
        Architecture(smp.FPN, dropout_option="decoder_dropout", stride_option="output_stride"),
        Architecture(smp.PSPNet, dropout_option="psp_dropout"),
        Architecture(
            smp.DeepLabV3,
            needs="dilation",
            dropout_option="decoder_aspp_dropout",
            stride_option="encoder_output_stride",
        ),
        Architecture(
            smp.DeepLabV3Plus,
            needs="dilation",
            dropout_option="decoder_aspp_dropout",
            stride_option="encoder_output_stride",
        ),
        Architecture(smp.PAN, needs="dilation", stride_option="encoder_output_stride"),
        Architecture(smp.UPerNet, stride_option="output_stride"),
        Architecture(smp.Segformer, stride_option="output_stride"),
        # A vision transformer is built for one image size unless told otherwise.
        Architecture(smp.DPT, needs="vit", options={"dynamic_img_size": True}),
    )
}


def find_architecture(name: str) -> Architecture:
    """By name, whatever its case; `Unet++` and `DeepLabV3+` are read too."""
    key = name.lower().replace("+", "plus")
    if key in ARCHITECTURES:
        return ARCHITECTURES[key]
    raise InputError(
        f"model.architecture is {name!r}; choose one of {', '.join(found.name for found in ARCHITECTURES.values())}"
    )


def find_encoder(name: str) -> str:
    """The name under which SMP builds an encoder: its own, or `tu-NAME` for a model of timm."""
    if name in smp_encoders:
        return name
    timm_name = name.removeprefix(TIMM_PREFIX)
    if timm.is_model(timm_name):
        return TIMM_PREFIX + timm_name
    known = sorted({*smp_encoders, *timm.list_models()})  # some names are in both
    near = difflib.get_close_matches(timm_name.lower(), known, n=5, cutoff=0.6)
    hint = f"did you mean {', '.join(near)}?" if near else f"known are {', '.join(smp_encoders)} and timm's models"
    raise InputError(f"model.encoder is {name!r}, which neither segmentation_models_pytorch nor timm has; {hint}")


def check_settings(architecture: Architecture, settings: ModelSettings) -> None:
    """Refuse a setting that the architecture would ignore."""
    if settings.decoder_channels is not None:
        _check_decoder_channels(architecture, settings.decoder_channels)
    if settings.output_stride is not None and architecture.stride_option is None:
        able = [found.name for found in ARCHITECTURES.values() if found.stride_option]
        raise InputError(
            f"model.output_stride is {settings.output_stride}, but {architecture.name} cannot follow a dilated "
            f"encoder; remove it, or use {', '.join(able)}"
        )
    if settings.fpn_merge != "add" and architecture.network is not smp.FPN:
        raise InputError(
            f"model.fpn_merge is {settings.fpn_merge}, but {architecture.name} merges no pyramid; remove it, or use FPN"
        )
    if settings.decoder_dropout_at == "blocks" and not (architecture.network is smp.Unet and settings.decoder_dropout):
        raise InputError(
            "model.decoder_dropout_at is blocks, which is for a Unet that drops: set model.decoder_dropout above 0 and "
            f"architecture Unet (given: {settings.decoder_dropout:g}, {architecture.name}), or remove it"
        )


def _check_decoder_channels(architecture: Architecture, decoder_channels: tuple[int, ...]) -> None:
    if not architecture.stage_channels:
        able = [found.name for found in ARCHITECTURES.values() if found.stage_channels]
        raise InputError(
            f"model.decoder_channels is set, but {architecture.name} has no decoder channels a stage; remove it, "
            f"or use {', '.join(able)}"
        )
    fewest = FEWEST_STAGES if architecture.can_stop_early else STAGES
    if not fewest <= len(decoder_channels) <= STAGES:
        wanted = f"{fewest} to {STAGES}" if fewest < STAGES else f"{STAGES}"
        raise InputError(
            f"model.decoder_channels is {list(decoder_channels)}; {architecture.name} needs {wanted} numbers, deepest "
            "first, e.g. [256, 128, 64, 32, 16]"
        )
