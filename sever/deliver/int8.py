"""Post-training quantisation of a graph to 8-bit integers (NNCF), held to a score; knows no bundle and no images."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sever.decide.prediction import Forward
from sever.deliver.runtime.openvino import compiled_forward, no_telemetry, one_core, process_core
from sever.errors import InputError


@dataclass(frozen=True)
class Quantised:
    """An OpenVINO model: its .xml and its .bin."""

    graph: bytes
    weights: bytes


# A forward, and places of control images, to the score of each of them.
Score = Callable[[Forward, Sequence[int]], list[float]]
# To find the layers that cost most, each is put back once and so many control images are scored; at most so many layers
# go back, one after the other, before the whole network does.
RANKING_IMAGES, MOST_LAYERS_BACK = 8, 16


def quantise_graph(
    graph: bytes, calibration: Sequence[np.ndarray], score: Score, controls: int, num_classes: int, max_drop: float
) -> Quantised:
    """The graph with as many layers in int8 as the score allows: those that cost more than `max_drop` go back.

    calibration: batches of pixels (N, H, W, channels) uint8 of training images, from which the ranges come.
    controls: how many control images `score` knows.
    """
    nncf, openvino = _libraries()
    model = process_core().read_model(graph)

    def validate(compiled: Any, places: Iterable[int]) -> tuple[float, list[float]]:
        # NNCF counts what is taken from here, and asks for some of the images when it ranks layers.
        scores = score(_forward(openvino, compiled, num_classes), list(places))
        return float(np.mean(scores)), scores

    with one_core(), contextlib.redirect_stdout(io.StringIO()):  # its bars of progress
        quantised = nncf.quantize_with_accuracy_control(
            model,
            calibration_dataset=nncf.Dataset(list(calibration)),
            validation_dataset=nncf.Dataset(range(controls)),
            validation_fn=validate,
            max_drop=max_drop,
            drop_type=nncf.DropType.ABSOLUTE,
            subset_size=len(calibration),
            preset=nncf.QuantizationPreset.MIXED,
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                max_num_iterations=MOST_LAYERS_BACK, ranking_subset_size=RANKING_IMAGES, num_ranking_workers=1
            ),
        )
    with tempfile.TemporaryDirectory(prefix="sever-int8-") as folder:
        path = Path(folder) / "int8.xml"
        openvino.save_model(quantised, path, compress_to_fp16=False)
        return Quantised(path.read_bytes(), path.with_suffix(".bin").read_bytes())


def _forward(openvino: Any, compiled: Any, num_classes: int) -> Forward:
    if not isinstance(compiled, openvino.CompiledModel):
        compiled = process_core().compile_model(compiled, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    return compiled_forward(compiled, num_classes)


def _libraries() -> tuple[Any, Any]:
    os.environ.setdefault("NNCF_CI", "1")  # it would tell a host on the internet that it is used
    with no_telemetry():
        try:
            import nncf
            import openvino
        except ModuleNotFoundError as error:
            raise InputError(f"int8 needs {error.name}: pip install 'sever[export]'") from error
    nncf.set_log_level(40)  # logging.ERROR
    return nncf, openvino
