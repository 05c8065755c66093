"""A network as an ONNX graph: uint8 pixels (N, H, W, channels) in, probabilities out; knows no files and no runtime.

Normalisation, and the step from logits to probabilities, are in the graph, so that whoever runs it can't get either
wrong. It takes any number of images of any size that is a multiple of the network's `size_multiple`; tiles, padding and
flips are outside (`sever.decide`).
"""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPBlock
from torch import Tensor, nn
from torch.nn import functional

from sever.errors import InputError
from sever.models.features import EncoderFeatures
from sever.models.losses import probabilities
from sever.models.network import PixelNetwork

INPUT, MAPS, LABELS, FEATURES = "pixels", "maps", "labels", "features"
# Which sizes are the image's, by place.
_AXES = {
    INPUT: {0: "images", 1: "height", 2: "width"},
    MAPS: {0: "images", 2: "height", 3: "width"},
    LABELS: {0: "images"},
    FEATURES: {0: "images"},
}
OPSET = 17
# Traced with images of at least this size in pixels: some decoders pool several times.
_LEAST_HEIGHT, _LEAST_WIDTH = 128, 192


class Answers(nn.Module):
    """Pixels (N, H, W, channels) uint8 to maps (N, C, H, W) and labels (N, C) in 0..1, those that the network has."""

    def __init__(self, network: PixelNetwork, loss: str) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, pixels_nhwc: Tensor) -> tuple[Tensor, ...]:
        masks, labels = self.network(pixels_nhwc.permute(0, 3, 1, 2))
        maps = None if masks is None else probabilities(masks, self.loss)
        found = None if labels is None else labels.float().sigmoid()
        return tuple(answer for answer in (maps, found) if answer is not None)


def onnx_graph(network: PixelNetwork, loss: str, draws_masks: bool, labels_images: bool) -> bytes:
    """The network, which stays as it is, as an ONNX model. Raises InputError where it can't be one."""
    names = [MAPS] * draws_masks + [LABELS] * labels_images
    return _written(Answers(_exportable(network), loss), network, names)


def features_graph(network: PixelNetwork) -> bytes:
    """What its encoder sees (`EncoderFeatures`), as an ONNX model. Raises InputError where it can't be one."""
    return _written(EncoderFeatures(_exportable(network)), network, [FEATURES])


def _written(module: nn.Module, network: PixelNetwork, names: list[str]) -> bytes:
    try:
        with torch.inference_mode(), _quiet(), tempfile.TemporaryDirectory(prefix="sever-graph-") as folder:
            file = Path(folder) / "network.onnx"
            torch.onnx.export(
                module,
                (_pixels_to_trace(network),),
                file,
                # The newer way is several times slower, and ties some graphs to the size that they were traced with.
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=names,
                dynamic_axes={name: _AXES[name] for name in (INPUT, *names)},
            )
            return file.read_bytes()
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"this network can't be written as an ONNX graph: {reason}. All architectures but DPT can, with "
            "convolutional encoders and mit_b*"
        ) from error


class _AreaPool(nn.Module):
    """nn.AdaptiveAvgPool2d as two products of matrices: ONNX has no such pooling for images of any size."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, features: Tensor) -> Tensor:
        rows, columns = (_area_means(self.side, features.shape[axis]) for axis in (2, 3))
        return rows @ features @ columns.transpose(0, 1)


def _area_means(parts: int, length: int) -> Tensor:
    """(parts, length): row i averages the pixels floor(i * length / parts) up to ceil((i + 1) * length / parts)."""
    part, pixel = torch.arange(parts)[:, None], torch.arange(length)[None]
    starts, ends = part * length // parts, ((part + 1) * length + parts - 1) // parts
    shares = ((pixel >= starts) & (pixel < ends)).float()
    return shares / shares.sum(dim=1, keepdim=True)


class _PyramidBlock(nn.Module):
    """SMP's PSPBlock with a pooling that can be exported."""

    def __init__(self, block: PSPBlock) -> None:
        super().__init__()
        self.pool, self.convolution = _AreaPool(block.pool_size), block.pool[1]

    def forward(self, features: Tensor) -> Tensor:
        pooled = self.convolution(self.pool(features))
        return functional.interpolate(pooled, size=features.shape[2:], mode="bilinear", align_corners=True)


def _exportable(network: PixelNetwork) -> PixelNetwork:
    """A copy on the CPU, in evaluation mode, without modules that ONNX lacks."""
    own = copy.deepcopy(network).to("cpu").to(memory_format=torch.contiguous_format).eval()
    for module in list(own.modules()):
        for name, child in module.named_children():
            if isinstance(child, PSPBlock):
                setattr(module, name, _PyramidBlock(child))
            elif (
                isinstance(child, nn.AdaptiveAvgPool2d) and isinstance(child.output_size, int) and child.output_size > 1
            ):
                setattr(module, name, _AreaPool(child.output_size))
    return own


def _pixels_to_trace(network: PixelNetwork) -> Tensor:
    multiple = network.size_multiple
    height, width = (-(-least // multiple) * multiple for least in (_LEAST_HEIGHT, _LEAST_WIDTH))
    return torch.zeros(2, height, width, network.in_channels, dtype=torch.uint8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracer's remarks: whether the graph holds for other sizes is seen by trying it."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
