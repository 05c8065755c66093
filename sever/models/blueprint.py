"""Builds one network of an architecture and an encoder, and tries it out; knows nothing of where weights come from."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base.initialization import initialize_head
from segmentation_models_pytorch.decoders.fpn.decoder import FPNBlock
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from sever.config import ModelSettings
from sever.errors import InputError
from sever.models.architectures import ARCHITECTURES, NEEDS, STAGES, Architecture
from sever.models.layout_2019 import use_layout_2019
from sever.models.network import LabelHead

# Small, yet large enough for PAN, which pools thrice more below its stride of 16.
TRIAL_SIDE = 128
# What SMP and timm raise, when built or first run, for a pair that does not fit.
MISFITS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, AssertionError)


class Buildable(Protocol):
    """What fetching weights asks of a blueprint: a network with an `encoder`, by its name, with or without weights."""

    @property
    def encoder_name(self) -> str: ...

    @property
    def settings(self) -> ModelSettings: ...

    def build(self, **weights: Any) -> Any: ...


@dataclass(frozen=True)
class Blueprint:
    """All that shapes a network, weights aside; it can be built any number of times."""

    architecture: Architecture
    encoder_name: str
    settings: ModelSettings
    num_outputs: int
    num_labels: int = 0

    def build(self, **weights: Any) -> Any:
        """A fresh network for three channels, with random weights or those that SMP fetches for `weights`."""
        weights = weights or {"encoder_weights": None}
        options = {**network_options(self.architecture, self.settings), **weights}
        network: Any
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`timm-` encoders are deprecated", DeprecationWarning)
            if self.architecture.network is not smp.PAN or self.settings.output_stride != 8:
                network = self.architecture.network(self.encoder_name, classes=self.num_outputs, **options)
            else:  # SMP's PAN refuses 8, though its decoder follows any size
                options["encoder_output_stride"] = 16
                network = smp.PAN(self.encoder_name, classes=self.num_outputs, **options)
                network.encoder = get_encoder(self.encoder_name, output_stride=8, **as_encoder_options(weights))
        adapt(self.architecture, network, self.encoder_name, self.settings)
        if self.num_labels:
            # In the place of SMP's auxiliary head, so that SMP's forward answers (masks, labels).
            features = network.encoder.out_channels[-1]
            network.classification_head = LabelHead(features, self.num_labels, self.settings.label_dropout)
        return network

    @torch.no_grad()
    def try_out(self, network: Any, in_channels: int) -> None:
        """Run one blank image, so that a pair that doesn't fit is told now and not in the middle of a training."""
        blank = torch.zeros(1, in_channels, TRIAL_SIDE, TRIAL_SIDE)
        network.eval()
        logits = network(blank)[0] if self.num_labels else network(blank)
        if logits.shape[-2:] != blank.shape[-2:]:
            raise ValueError(f"a {TRIAL_SIDE}-pixel image gives logits of {tuple(logits.shape[-2:])} pixels")
        wanted = self.settings.output_stride
        if wanted is not None and (stride := TRIAL_SIDE // network.encoder(blank)[-1].shape[-1]) != wanted:
            raise ValueError(f"its last features stay at stride {stride}, not the output_stride {wanted}")
        network.train()

    def explaining_misfits(self) -> AbstractContextManager[None]:
        """Turn what SMP or timm raise for a pair that doesn't fit into an InputError that says what does."""
        return explaining_misfits(self._misfit_message)

    def _misfit_message(self, reason: str) -> str:
        name, stride = self.architecture.name, self.settings.output_stride
        needs = "dilation" if stride else self.architecture.needs
        message = f"{name} does not work with encoder {self.encoder_name}"
        message += f" at output_stride {stride}: {reason}. " if stride else f": {reason}. "
        message += f"{name} needs {NEEDS[needs]}"
        if needs == "any":
            return message
        others = [found.name for found in ARCHITECTURES.values() if found.needs == "any"]
        return f"{message}; without output_stride, {', '.join(others)} work with most other encoders"


def network_options(architecture: Architecture, settings: ModelSettings) -> dict[str, Any]:
    """Settings as keyword arguments of the SMP class; those it has no argument for are left to `adapt`."""
    options = dict(architecture.options)
    if settings.decoder_channels is not None:
        # SMP builds all stages; `adapt` takes the last ones away again.
        missing = STAGES - len(settings.decoder_channels)
        options["decoder_channels"] = settings.decoder_channels + settings.decoder_channels[-1:] * missing
    if settings.output_stride is not None and architecture.stride_option is not None:
        options[architecture.stride_option] = settings.output_stride
    if architecture.network is smp.FPN:
        options["decoder_merge_policy"] = settings.fpn_merge
    if architecture.dropout_option is not None:
        options[architecture.dropout_option] = settings.decoder_dropout
    return options


def adapt(architecture: Architecture, network: Any, encoder_name: str, settings: ModelSettings) -> None:
    """Carry out, on a built network, the settings that SMP has no argument for; state-dict keys stay as they are."""
    if architecture.dropout_option is None and settings.decoder_dropout > 0:
        # SMP's Unet accepts decoder_dropout= and ignores it. A dropout has no state, and a hook no name.
        if settings.decoder_dropout_at == "blocks":
            for block in network.decoder.blocks:
                convolution = block.conv1[0]  # not conv1: a Sequential would run what is hung on it
                convolution.dropout = nn.Dropout(settings.decoder_dropout)
                convolution.register_forward_pre_hook(_drop_input)
        else:
            network.decoder.dropout = nn.Dropout2d(settings.decoder_dropout)
            network.decoder.register_forward_hook(_drop_output)
    if settings.decoder_channels is not None and len(settings.decoder_channels) < STAGES:
        _stop_early(network, settings.decoder_channels)
    if settings.encoder_layout == "2019":
        use_layout_2019(network.encoder, encoder_name)
    if architecture.network is smp.FPN and settings.output_stride is not None:
        _fit_pyramid(network.decoder, settings.output_stride)


def as_encoder_options(weights: dict[str, Any]) -> dict[str, Any]:
    """`encoder_weights` is called `weights` one level down."""
    return {"weights" if name == "encoder_weights" else name: value for name, value in weights.items()}


def _drop_output(decoder: nn.Module, inputs: Any, features: Tensor) -> Tensor:
    return decoder.dropout(features)  # type: ignore[operator]


def _drop_input(convolution: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (convolution.dropout(inputs[0]),)  # type: ignore[operator]


def _stop_early(network: Any, decoder_channels: tuple[int, ...]) -> None:
    """Leave a Unet's decoder the stages that have channels, and let its head enlarge what they draw."""
    network.decoder.blocks = network.decoder.blocks[: len(decoder_channels)]
    head = network.segmentation_head
    head[0] = nn.Conv2d(decoder_channels[-1], head[0].out_channels, head[0].kernel_size, padding=head[0].padding)
    enlarged = 2 ** (STAGES - len(decoder_channels))
    head[1] = nn.Upsample(scale_factor=enlarged, mode="bilinear", align_corners=False)
    initialize_head(head)


class _SizedFPNBlock(FPNBlock):
    """FPN's top-down step to whatever size the skip has: SMP's always doubles, which a dilated encoder breaks."""

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        coarse = F.interpolate(x, size=skip.shape[-2:], mode=self.interpolation_mode)
        return coarse + self.skip_conv(skip)


def _fit_pyramid(decoder: Any, output_stride: int) -> None:
    """Make FPN's decoder follow a dilated encoder: no doubling where two levels have the same size."""
    for block in (decoder.p4, decoder.p3, decoder.p2):
        block.__class__ = _SizedFPNBlock
    for level_stride, seg_block in zip((32, 16, 8, 4), decoder.seg_blocks, strict=True):
        doublings = int(math.log2(min(level_stride, output_stride) // 4))
        for position, step in enumerate(seg_block.block):
            step.upsample = position < doublings


@contextmanager
def explaining_misfits(message: Callable[[str], str]) -> Iterator[None]:
    """Turn what SMP or timm raise into an InputError; `message` says what doesn't fit, from their reason in a line."""
    try:
        yield
    except InputError:
        raise
    except MISFITS as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".!")
        raise InputError(message(reason)) from error
