"""A network that is dropped in another thread than its first leaves the process able to take signals."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sever.deliver.runtime.openvino import one_core, process_core

onnx = pytest.importorskip("onnx")
pytest.importorskip("openvino")

# A child that ends sends SIGCHLD, as a stop sends SIGTERM: the handler runs on the stack that OpenVINO gave the thread.
DROP_ELSEWHERE = """
import signal, subprocess, sys, threading
from pathlib import Path
from sever.deliver.runtime.openvino import openvino_forward
signal.signal(signal.SIGCHLD, lambda *_: None)
networks = [openvino_forward(Path(sys.argv[1]).read_bytes(), 1)]
dropping = threading.Thread(target=networks.clear)
dropping.start()
dropping.join()
subprocess.run([sys.executable, "-c", ""], check=True)
print("it lives")
"""


def one_layer(path: Path) -> Path:
    """Grey pixels (N, H, W, 1) uint8 to maps (N, 1, H, W)."""
    helper, kinds = onnx.helper, onnx.TensorProto
    size = ["images", "height", "width"]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["real"], to=kinds.FLOAT),
            helper.make_node("Transpose", ["real"], ["maps"], perm=[0, 3, 1, 2]),
        ],
        "one",
        [helper.make_tensor_value_info("pixels", kinds.UINT8, [*size, 1])],
        [helper.make_tensor_value_info("maps", kinds.FLOAT, [size[0], 1, *size[1:]])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="no such signal here")
def test_signals_after_a_network_was_dropped_in_another_thread(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DROP_ELSEWHERE, str(one_layer(tmp_path / "one.onnx"))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "it lives\n"), done.stderr


def test_whoever_makes_a_core_gets_that_of_the_process(tmp_path: Path) -> None:
    """compile_model is a function of the library that makes one by itself."""
    openvino = importlib.import_module("openvino")
    kind, makes = openvino.Core, sys.modules[openvino.compile_model.__module__]
    process_core()
    with one_core():
        assert openvino.Core() is makes.Core() is process_core()
        openvino.compile_model(one_layer(tmp_path / "one.onnx"), "CPU")
    assert openvino.Core is makes.Core is kind
