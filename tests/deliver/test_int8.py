"""int8 keeps a score: layers that cost it go back to floating point, judged by the control images one by one."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sever.decide.prediction import Forward
from sever.deliver.int8 import Quantised, quantise_graph
from sever.deliver.runtime.backends import BACKENDS

CONTROLS = 4


class Small(nn.Module):
    """Three layers; the middle one has one channel that drowns all others, so that 8 bits leave nothing of them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8, 2, 3, padding=1))
        with torch.no_grad():
            self.layers[2].weight[0] *= 3000
            self.layers[4].weight[:, 0] /= 3000

    def forward(self, pixels_nhwc: Tensor) -> Tensor:
        return self.layers(pixels_nhwc.permute(0, 3, 1, 2) / 255.0).sigmoid()


@pytest.fixture(scope="module")
def graph() -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Small().eval(),
            (torch.zeros(1, 32, 32, 1, dtype=torch.uint8),),
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=17,
            input_names=["pixels"],
            output_names=["maps"],
            dynamic_axes={"pixels": {0: "n", 1: "h", 2: "w"}, "maps": {0: "n", 2: "h", 3: "w"}},
        )
    return file.getvalue()


def error_of(made: Quantised, graph: bytes, images: Sequence[np.ndarray]) -> float:
    exact = BACKENDS["openvino-f32"].forward(graph, None, 2)
    forward = BACKENDS["openvino-int8"].forward(made.graph, made.weights, 2)
    return float(np.mean([np.abs(exact(image)[0] - forward(image)[0]).mean() for image in images]))


@pytest.mark.filterwarnings("ignore")  # of NNCF's own
def test_layers_that_cost_too_much_go_back(graph: bytes) -> None:
    images = [np.random.default_rng(seed).integers(0, 256, (1, 32, 32, 1), dtype=np.uint8) for seed in range(CONTROLS)]
    exact = BACKENDS["openvino-f32"].forward(graph, None, 2)
    asked: list[int] = []

    def score(forward: Forward, places: Sequence[int]) -> list[float]:
        asked.append(len(places))
        return [1 - 10 * float(np.abs(exact(images[at])[0] - forward(images[at])[0]).mean()) for at in places]

    careless = quantise_graph(graph, images, score, CONTROLS, 2, max_drop=10)
    allowed = 0.3 * 10 * error_of(careless, graph, images)
    asked.clear()
    careful = quantise_graph(graph, images, score, CONTROLS, 2, max_drop=allowed)
    assert 10 * error_of(careful, graph, images) <= 1.5 * allowed, "it is judged by bf16 and f32 in one run"
    assert asked.count(CONTROLS) > 3, "layers were put back, and each time all control images scored"
