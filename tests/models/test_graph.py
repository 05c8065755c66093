"""Graphs answer as their network does, for images of sizes that they were not traced with, in both runtimes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sever.config import parse_config
from sever.deliver.runtime.onnx import onnx_forward
from sever.deliver.runtime.openvino import openvino_forward
from sever.errors import InputError
from sever.models.classifier import build_classifier
from sever.models.graph import Answers, _AreaPool, onnx_graph
from sever.models.losses import num_outputs
from sever.models.network import PixelNetwork
from sever.models.segmenter import build_segmenter

SHAPES = ((2, 128, 192), (1, 224, 160))


def network_of(loss: str = "bce_dice", labels: int = 3, **model: Any) -> tuple[PixelNetwork, str]:
    settings = parse_config(
        {"name": "x", "data": {"root": "x"}, "model": {"encoder": "mobilenet_v2", "weights": "none"} | model}, "test"
    ).model
    torch.manual_seed(0)
    channels = 3 if settings.in_channels == "rgb" else 1
    mean, std = (0.35,) * channels, (0.15,) * channels
    if settings.task == "classify":
        return build_classifier(settings, 3, mean, std, pretrained=False), loss
    return build_segmenter(settings, num_outputs(loss, 3), mean, std, pretrained=False, num_labels=labels), loss


def pixels_of(shape: tuple[int, int, int], network: PixelNetwork) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (*shape, network.in_channels), dtype=np.uint8)


def raise_unless_alike(network: PixelNetwork, loss: str, masks: bool, labels: bool) -> None:
    graph = onnx_graph(network, loss, masks, labels)
    answers = Answers(network.eval(), loss)
    for forward in (onnx_forward(graph, 3, threads=1), openvino_forward(graph, 3, threads=1)):
        for shape in SHAPES:
            pixels = pixels_of(shape, network)
            with torch.inference_mode():
                expected = [answer.numpy() for answer in answers(torch.from_numpy(pixels))]
            maps, found = forward(pixels)
            assert (maps is not None, found is not None) == (masks, labels)
            for ours, theirs in zip([each for each in (maps, found) if each is not None], expected, strict=True):
                assert ours.dtype == np.float32
                np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    "architecture",
    ["UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3Plus", "PAN", "UPerNet", "Segformer"],
)
def test_segmenters(architecture: str) -> None:
    encoder = {"encoder": "resnet18"} if architecture in ("DeepLabV3Plus", "PAN") else {}
    raise_unless_alike(*network_of(architecture=architecture, label_head=True, **encoder), True, True)


def test_a_decoder_that_stops_early() -> None:
    raise_unless_alike(*network_of(decoder_channels=[8, 8, 8, 4], label_head=True), True, True)


def test_a_classifier() -> None:
    raise_unless_alike(*network_of(task="classify"), False, True)


@pytest.mark.parametrize("loss", ["bce_dice", "ce_dice"])
def test_exclusive_classes_and_colour(loss: str) -> None:
    raise_unless_alike(*network_of(loss, labels=0, in_channels="rgb"), True, False)


def test_the_network_stays_as_it_was() -> None:
    network, loss = network_of(architecture="PSPNet")
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    onnx_graph(network, loss, True, True)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("side", "height", "width"), [(1, 3, 5), (2, 7, 9), (3, 8, 50), (6, 6, 11), (6, 4, 5)])
def test_pooling_by_matrices_is_adaptive_pooling(side: int, height: int, width: int) -> None:
    features = torch.rand(2, 3, height, width)
    torch.testing.assert_close(_AreaPool(side)(features), nn.AdaptiveAvgPool2d(side)(features))


def test_what_onnx_can_not_say() -> None:
    network, loss = network_of(architecture="DPT", encoder="tu-vit_tiny_patch16_224", labels=0)
    with pytest.raises(InputError, match="can't be written as an ONNX graph"):
        onnx_graph(network, loss, True, False)


@pytest.mark.parametrize("forward", [onnx_forward, openvino_forward])
def test_a_graph_that_is_none_and_one_of_other_classes(forward: Any) -> None:
    with pytest.raises(InputError, match="can't read the bundle's graph"):
        forward(b"no graph at all", 3)
    network, loss = network_of()
    graph = onnx_graph(network, loss, True, True)
    with pytest.raises(InputError, match="does not belong to its 4 classes"):
        forward(graph, 4)(pixels_of(SHAPES[0], network))
