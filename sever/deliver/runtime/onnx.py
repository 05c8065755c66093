"""ONNX Runtime: a graph as a forward, in full precision on the CPU; knows no bundle and no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sever.decide.prediction import Forward
from sever.deliver.runtime.forward import checked, checked_features
from sever.errors import InputError


def version() -> str:
    """Raises InputError where it is not installed."""
    return f"onnxruntime {_library().__version__}"


def onnx_forward(graph: bytes, num_classes: int, threads: int | None = None, streams: int | None = None) -> Forward:
    """The forward of an ONNX model. `threads`: None for one a core. Raises InputError for what is no such model.

    `streams`: None for one image at a time on all threads; else each of so many calls at once has its share of them.
    """
    session = _session(graph, threads if streams is None else max(1, (threads or 1) // streams))
    (pixels,), names = session.get_inputs(), [output.name for output in session.get_outputs()]

    def forward(pixels_nhwc: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        answers = session.run(names, {pixels.name: np.ascontiguousarray(pixels_nhwc)})
        return checked(dict(zip(names, answers, strict=True)), pixels_nhwc, num_classes)

    return forward


def onnx_features(graph: bytes, count: int, threads: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """What an encoder sees: pixels (N, H, W, channels) uint8 to (N, count) float32. Raises InputError as above."""
    session = _session(graph, threads)
    (pixels,) = session.get_inputs()

    def features(pixels_nhwc: np.ndarray) -> np.ndarray:
        return checked_features(session.run(None, {pixels.name: np.ascontiguousarray(pixels_nhwc)})[0], count)

    return features


def _session(graph: bytes, threads: int | None) -> Any:
    onnxruntime = _library()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common ancestor
        raise InputError(f"ONNX Runtime can't read the bundle's graph: {' '.join(str(error).split())[:160]}") from error


def _library() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise InputError("ONNX Runtime is not installed here: pip install 'sever[runtime]'") from error
    # It sends nothing on Linux; elsewhere it would.
    onnxruntime.disable_telemetry_events()
    return onnxruntime
