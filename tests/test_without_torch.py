"""What works on stored maps, tables and records starts and runs where there is no torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from evidence_maker import make_evidence

ABSENT = ("torch", "torchvision", "timm", "segmentation_models_pytorch", "accelerate", "safetensors", "tensorboard")
# An installation without torch and what needs it: their import fails as it would there.
START = f"""
import sys
from importlib.abc import MetaPathFinder
class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from sever.cli import main
main()
"""


def sever_without_torch(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START, *map(str, words)]
    return subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def evidence(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("evidence")
    return make_evidence(folder / "one", strip_root, seed=1, gate=True), make_evidence(
        folder / "two", strip_root, seed=2
    )


def test_from_maps_to_a_report(evidence: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = evidence
    blend, ledger = tmp_path / "blend", tmp_path / "ledger.jsonl"
    lines: list[list[object]] = [
        ["blend", "-m", one, "-m", two, "-o", blend],
        ["tune", "-r", blend, "--draws", 20],
        ["report", blend, "-o", tmp_path / "report.html"],
        ["select", one, two, "--public-share", 0.3, "--draws", 50, "--clusters", "groups"],
        ["leaderboard", "add", "-s", blend / "pairs.csv", "--name", "first", "--blend", blend, "--ledger", ledger],
        ["leaderboard", "show", "--ledger", ledger],
    ]
    for line in lines:
        done = sever_without_torch(*line)
        assert done.returncode == 0, f"{line[0]}: {done.stderr}"
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_block_blocks(evidence: tuple[Path, Path], tmp_path: Path) -> None:
    done = sever_without_torch("train", "-c", "experiments/lite0-unet.yml", "--saved", tmp_path)
    assert done.returncode == 2
    assert "this needs torch, which is not installed here" in done.stderr
