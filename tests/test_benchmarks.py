"""Every benchmark runs, in its smallest form, and tells its ratio; what the figures are is not tested."""

from __future__ import annotations

import importlib
import io
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from run_maker import make_run, with_folds

from sever.data.synthetic import make_strip
from sever.pipeline.export.make import ExportOptions, export_model

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
WITH_RATIO = [
    "batches",
    "blend",
    "choose_submissions",
    "damage",
    "depthwise",
    "step_cost",
    "duplicates",
    "export",
    "familiarity",
    "genuine_strip",
    "inference",
    "kept_memory",
    "label_doubts",
    "line_speed",
    "loader",
    "memory",
    "mixed_precision",
    "next_images",
    "origins",
    "postprocess",
    "probability_maps",
    "pseudo_labels",
    "read_labels",
    "recipe_2019",
    "rle",
    "serve",
    "serve_soak",
    "scale",
    "shift",
    "startup",
    "syncing",
    "synth",
    "train_step",
    "tune",
]
# Helpers, and a picture to look at, which is no measurement.
OTHERS = {
    "common",
    "export_models",
    "growth",
    "imagededup_pairs",
    "roofline",
    "planted_faults",
    "training",
    "real_vs_synthetic",
    "serve_locust",
}


def run(name: str, *arguments: str) -> str:
    """Start the script as a person does; returns what it printed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_script_of_the_folder_is_run_here() -> None:
    assert {path.stem for path in BENCHMARKS.glob("*.py")} == {*WITH_RATIO, *OTHERS}


@pytest.mark.parametrize("name", WITH_RATIO)
def test_it_runs_and_tells_one_ratio(name: str) -> None:
    printed = run(name, "--quick")
    (ratio,) = re.findall(r"^ratio (\d+\.\d\d)  \(", printed, re.MULTILINE)
    assert float(ratio) > 0
    assert "cores" in printed


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, strip_root: Path) -> Path:
    """One for both, without int8, whose calibration takes most of an export."""
    trained = make_run(tmp_path_factory.mktemp("saved") / "tiny" / "20260101-000000", strip_root)
    path = tmp_path_factory.mktemp("bundle") / "model.sever"
    export_model(with_folds(trained, strip_root), path, ExportOptions(images=2, backends=("onnx", "torch")))
    return path


@pytest.mark.parametrize("of", [("--growth", "6"), ("--latency", "20")])
def test_inference_tells_whether_it_grows_and_how_long_a_frame_takes(of: tuple[str, str], bundle: Path) -> None:
    assert "memory" in run("inference", "--quick", "--model", str(bundle), *of)


def test_operations_are_those_one_reckons_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    roofline, torch = importlib.import_module("roofline"), importlib.import_module("torch")

    class Net(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.full = torch.nn.Conv2d(1, 6, 3, stride=2, padding=1)
            self.depth = torch.nn.Conv2d(6, 6, 5, padding=2, groups=6)

        def forward(self, pixels_nhwc: object) -> object:
            return self.depth(self.full(pixels_nhwc.permute(0, 3, 1, 2)))  # type: ignore[attr-defined]

    buffer = io.BytesIO()
    options = {"dynamo": False, "input_names": ["x"], "dynamic_axes": {"x": {1: "height", 2: "width"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the way that sever exports, too
        torch.onnx.export(Net().eval(), (torch.zeros(1, 16, 16, 1),), buffer, **options)
    # 8x10 places: 3x3 of 1 to 6 channels, then 5x5 of each channel by itself; two operations each.
    assert roofline.operations(buffer.getvalue(), (16, 20, 1)) == 2 * 80 * (9 * 6 + 25 * 6)


def test_the_picture_of_real_beside_synthetic_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for index in range(2):
        strip_hw, _ = make_strip(seed=1, index=index, height=64, width=96)
        assert cv2.imwrite(str(tmp_path / "real" / f"{index}.png"), strip_hw)
    run("real_vs_synthetic", str(tmp_path / "real"), "-o", str(tmp_path / "sheet.png"), "--count", "2")
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None


def test_a_simulated_job_takes_what_one_reckons_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    scale = importlib.import_module("scale")
    # Two seconds of processor on two cores: one second an image. 10 shards of 100 and one of 50, on 4 workers.
    rates = scale.Rates(bytes_in=1e6, bytes_out=0, decode=0.5, network=1.0, rules=0.5)
    cluster = scale.Cluster(4, worker_bandwidth=1e7, store_bandwidth=1e8, failures_an_hour=0, commit_seconds=0)
    done = scale.simulate(1050, 100, rates, cluster)
    assert done.seconds == pytest.approx(scale.START_SECONDS + 300)
    assert done.bottleneck(rates, cluster) == "cores"
    # A store of 2 MB a second gives each worker half of one: two seconds an image.
    slow = replace(cluster, store_bandwidth=2e6)
    assert scale.simulate(1050, 100, rates, slow).seconds == pytest.approx(scale.START_SECONDS + 600)
    assert scale.simulate(1050, 100, rates, slow).bottleneck(rates, slow) == "store"
    # 100 seconds for each of 11 results, one after the other.
    queue = replace(cluster, commit_seconds=100)
    assert scale.simulate(1050, 100, rates, queue).bottleneck(rates, queue) == "coordinator"
    dying = replace(cluster, failures_an_hour=6)
    worse = scale.simulate(1050, 100, rates, dying)
    assert worse.lost_seconds > 0
    assert worse.seconds > done.seconds
