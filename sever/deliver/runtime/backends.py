"""The backends that a bundle can run in without torch, by name, with what they compute in; knows no bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sever.decide.prediction import Forward
from sever.deliver.runtime import onnx, openvino
from sever.errors import InputError


@dataclass(frozen=True)
class Backend:
    """One backend. `graph` is the kind of graph that it reads; `is_full`: whether it computes in full precision."""

    precision: str
    graph: Literal["onnx", "openvino-int8"]
    version: Callable[[], str]
    library: str

    @property
    def is_full(self) -> bool:
        return self.precision == "f32"

    def forward(
        self,
        graph: bytes,
        weights: bytes | None,
        num_classes: int,
        threads: int | None = None,
        streams: int | None = None,
    ) -> Forward:
        """One image at a time on all cores, or with `streams` so many at once, for calls from as many threads.

        Raises InputError for a graph that can't be read, and where the library is not installed.
        """
        if self.library == "onnx":
            return onnx.onnx_forward(graph, num_classes, threads, streams)
        return openvino.openvino_forward(graph, num_classes, self.precision, weights, threads, streams)

    def features(self, graph: bytes, count: int, streams: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """What an encoder sees, always in full precision: what is normal was learnt in it. Raises InputError.

        `streams`: so many calls at once, an image and a thread each; None for one call at a time, on all cores.
        """
        if self.library == "onnx":
            return onnx.onnx_features(graph, count, None if streams is None else 1)
        return openvino.openvino_features(graph, count, streams)

    def fault(self) -> str | None:
        """Why it can't run here; None where it can."""
        try:
            self.version()
        except InputError as error:
            return str(error)
        return None


BACKENDS: dict[str, Backend] = {
    "onnx": Backend("f32", "onnx", onnx.version, "onnx"),
    "openvino-f32": Backend("f32", "onnx", openvino.version, "openvino"),
    "openvino-bf16": Backend("bf16", "onnx", openvino.version, "openvino"),
    "openvino-int8": Backend("int8", "openvino-int8", openvino.version, "openvino"),
}
