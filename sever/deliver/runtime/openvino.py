"""OpenVINO: a graph as a forward on the CPU, in f32, bf16 or int8; knows no bundle and no torch."""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from sever.decide.prediction import Forward
from sever.deliver.runtime.forward import checked, checked_features, expected_shapes
from sever.errors import InputError

_TELEMETRY = "openvino_telemetry"
_UNBOUND = {"ENABLE_CPU_PINNING": False}
# What OpenVINO is told to compute in: int8 is in the graph itself, and what is not quantised there stays bf16.
PRECISIONS = {"f32": "f32", "bf16": "bf16", "int8": "bf16"}


def version() -> str:
    """Raises InputError where it is not installed."""
    return f"openvino {_library().__version__.split('-')[0]}"


@cache
def process_core() -> Any:
    """The one openvino.Core of this process, which lives as long as it does.

    Its CPU plugin gives the thread that makes it a stack for signal handlers, and unmaps that stack in whichever thread
    drops the last Core: the next signal then ends the process by a segmentation fault (openvino's pull request 11894).
    """
    return _library().Core()


@contextmanager
def one_core() -> Iterator[None]:
    """Within it whoever makes a Core gets that of the process, as NNCF does, which makes one a call and drops it."""
    openvino = _library()
    # compile_model, a function of the library, makes one too.
    places = [openvino, sys.modules[openvino.compile_model.__module__]]
    kind = openvino.Core
    for place in places:
        place.Core = process_core
    try:
        yield
    finally:
        for place in places:
            place.Core = kind


def openvino_forward(
    graph: bytes,
    num_classes: int,
    precision: str = "f32",
    weights: bytes | None = None,
    threads: int | None = None,
    streams: int | None = None,
) -> Forward:
    """The forward of an ONNX model, or of an OpenVINO one with its `weights`. Raises InputError where it is neither.

    `streams`: so many images at once, each on its share of the threads, for calls from as many threads of the caller;
    None for one at a time, on all of them.
    """
    compiled = _compiled(graph, precision, weights, threads, streams)
    if streams is None:
        return compiled_forward(compiled, num_classes)
    return StreamsForward(compiled, num_classes, _library().Tensor)


def openvino_features(graph: bytes, count: int, streams: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """What an encoder sees, in full precision: pixels (N, H, W, channels) uint8 to (N, count) float32.

    `streams`: so many calls at once, on a thread each; None for one at a time, on all cores.
    """
    compiled = _compiled(graph, "f32", None, streams, streams)
    free: queue.LifoQueue[Any] = queue.LifoQueue()

    def features(pixels_nhwc: np.ndarray) -> np.ndarray:
        try:
            request = free.get_nowait()
        except queue.Empty:
            request = compiled.create_infer_request()
        try:
            return checked_features(np.array(request.infer(np.ascontiguousarray(pixels_nhwc))[0]), count)
        finally:
            free.put(request)

    return features


def _compiled(
    graph: bytes, precision: str, weights: bytes | None, threads: int | None, streams: int | None = None
) -> Any:
    openvino, core = _library(), process_core()
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": PRECISIONS[precision]}
    # Streams are not bound to cores: the callers' threads, which read and decide, need a place as well.
    options |= {"PERFORMANCE_HINT": "LATENCY"} if streams is None else {"NUM_STREAMS": streams, **_UNBOUND}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    try:
        return core.compile_model(_read(openvino, core, graph, weights), "CPU", options)
    except RuntimeError as error:
        raise InputError(f"OpenVINO can't read the bundle's graph: {short(error)}") from error


def compiled_forward(compiled: Any, num_classes: int) -> Forward:
    """The forward of an openvino.CompiledModel."""
    names = [output.get_any_name() for output in compiled.outputs]

    def forward(pixels_nhwc: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        answers = compiled(np.ascontiguousarray(pixels_nhwc))
        by_name = {name: np.array(answers[at], dtype=np.float32) for at, name in enumerate(names)}
        return checked(by_name, pixels_nhwc, num_classes)

    return forward


class StreamsForward:
    """The forward of an openvino.CompiledModel for calls from many threads: each takes a request that is free.

    Its answers lie where the network wrote them: pixels go in, and maps come out, without a copy.
    """

    def __init__(self, compiled: Any, num_classes: int, tensor: Callable[..., Any]) -> None:
        self._compiled, self._num_classes, self._tensor = compiled, num_classes, tensor
        self._names = [output.get_any_name() for output in compiled.outputs]
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()

    def __call__(self, pixels_nhwc: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        shapes = expected_shapes(pixels_nhwc, self._num_classes)
        # What has another name than ours can't be told in advance: it is refused afterwards.
        answers = {name: np.empty(shapes.get(name, (0,)), np.float32) for name in self._names}
        request = self._request()
        try:
            request.set_input_tensor(self._shared(np.ascontiguousarray(pixels_nhwc)))
            for at, answer in enumerate(answers.values()):
                request.set_output_tensor(at, self._shared(answer))
            request.infer()
        except RuntimeError as error:
            raise InputError(f"the bundle's graph can't answer for {pixels_nhwc.shape}: {short(error)}") from error
        finally:
            self._free.put(request)
        return checked(answers, pixels_nhwc, self._num_classes)

    def _request(self) -> Any:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return self._compiled.create_infer_request()

    def _shared(self, array: np.ndarray) -> Any:
        return self._tensor(array, shared_memory=True)


def short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def _read(openvino: Any, core: Any, graph: bytes, weights: bytes | None) -> Any:
    if weights is None:
        return core.read_model(graph)
    return core.read_model(graph, openvino.Tensor(np.frombuffer(weights, np.uint8)))


def _library() -> Any:
    with no_telemetry():
        try:
            import openvino
        except ModuleNotFoundError as error:
            raise InputError("OpenVINO is not installed here: pip install 'sever[openvino]'") from error
    return openvino


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Importing openvino tells a host on the internet of it, unless the package that does so can't be imported."""
    held = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == _TELEMETRY}
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # which means: there is no such package
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        sys.modules.update(held)
