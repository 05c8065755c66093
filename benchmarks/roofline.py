"""What a machine can do at most, measured: large convolutions in one precision; and what a graph needs of it.

Measured with OpenVINO, one convolution after another of sizes that suit the units best, and the fastest counts: what a
network of many small layers then lacks of it is its own.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Clock
from torch import nn

from sever.deliver.runtime.openvino import PRECISIONS, process_core
from sever.prefetch import cores

# Channels, height and width of the convolutions that are tried; 3x3 with as many channels out as in.
SIZES = ((64, 64, 200), (128, 32, 200), (256, 32, 100))
QUICK_SIZES = ((32, 16, 16),)
LAYERS = 8


@dataclass(frozen=True)
class Speed:
    """Operations a second of all cores by the wall clock, and of one core by its own."""

    wall: float
    processor: float


class Roofline:
    """The measured peak of one precision: f32, bf16 or int8."""

    def __init__(self, precision: str, quick: bool = False) -> None:
        self.precision = precision
        found = [_measure(precision, size, 0.2 if quick else 1.5) for size in (QUICK_SIZES if quick else SIZES)]
        # By each clock for itself: on a shared machine the wall clock's best is of another moment.
        self.speed = Speed(max(each.wall for each in found), max(each.processor for each in found))

    def seconds(self, operations_an_image: float) -> Clock:
        """The least that an image can take: of the wall clock with all cores at work, and of processors."""
        return Clock(operations_an_image / self.speed.wall, operations_an_image / self.speed.processor)

    def __str__(self) -> str:
        return (
            f"roof of {self.precision}: {self.speed.wall / 1e9:.0f} GFLOP/s on {cores()} cores, "
            f"{self.speed.processor / 1e9:.0f} a second of processor"
        )


def operations(graph: bytes, shape_hwc: Sequence[int]) -> float:
    """Multiplications and additions of all convolutions and matrix products of an ONNX graph, of one image."""
    model = process_core().read_model(graph)
    model.reshape([1, *shape_hwc])
    return float(sum(_operations_of(node) for node in model.get_ordered_ops()))


def _operations_of(node: Any) -> int:
    kind = node.get_type_name()
    if kind in ("Convolution", "GroupConvolution"):
        *_, height, width = node.output(0).shape
        return 2 * int(np.prod(node.input(1).get_shape())) * height * width
    if kind == "MatMul":
        return 2 * int(np.prod(node.output(0).shape)) * int(node.input(0).get_shape()[-1])
    return 0


def _measure(precision: str, size: tuple[int, int, int], seconds: float) -> Speed:
    channels, height, width = size
    compiled = process_core().compile_model(
        _convolutions(precision, *size),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "NUM_STREAMS": cores(),
            "INFERENCE_NUM_THREADS": cores(),
            "ENABLE_CPU_PINNING": False,
        },
    )
    pixels = np.random.default_rng(0).random((1, channels, height, width), np.float32)

    def until(end: float) -> int:
        request, done = compiled.create_infer_request(), 0
        request.set_input_tensor(_tensor(pixels))
        while done == 0 or Clock.now().wall < end:
            request.infer()
            done += 1
        return done

    until(0)
    with ThreadPoolExecutor(cores()) as pool:
        start = Clock.now()
        runs = sum(pool.map(until, [start.wall + seconds] * cores()))
        took = start.since()
    work = float(runs) * LAYERS * 2 * 9 * channels * channels * height * width
    return Speed(work / took.wall, work / took.processor)


def _tensor(array: np.ndarray) -> Any:
    import openvino

    return openvino.Tensor(array, shared_memory=True)


def _convolutions(precision: str, channels: int, height: int, width: int) -> Any:
    """A chain of 3x3 convolutions, each with a ReLU; for int8 quantised with NNCF as networks are."""
    torch.manual_seed(0)
    layers = [layer for _ in range(LAYERS) for layer in (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())]
    sample = torch.rand(1, channels, height, width)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "convolutions.onnx"
        torch.onnx.export(nn.Sequential(*layers).eval(), (sample,), file, dynamo=False, opset_version=17)
        model = process_core().read_model(file.read_bytes())
    if precision != "int8":
        return model
    import nncf

    nncf.set_log_level(40)
    with contextlib.redirect_stdout(io.StringIO()):  # its bars of progress
        return nncf.quantize(model, nncf.Dataset([sample.numpy()]), subset_size=1)
