"""What many tests share: a small synthetic data set, a small experiment, and a guard against the network."""

from __future__ import annotations

import os

# Tests run in as many processes as there are cores: more threads only get in the way. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import network_guard
import pytest
import yaml

from sever.cli.logs import LOGGER, TerminalHandler
from sever.data.synthetic import SynthSettings, write_dataset

GUARD = Path(network_guard.__file__).parent


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test fails that reaches beyond this machine, or has a child process do so, whoever catches the error."""
    report = tmp_path_factory.getbasetemp() / "network-report"
    report.unlink(missing_ok=True)
    with monkeypatch.context() as patch:
        patch.setenv(network_guard.REPORT, str(report))
        patch.setenv("PYTHONPATH", str(GUARD), prepend=os.pathsep)
        network_guard.install(patch.setattr)
        yield
    assert not report.exists(), f"reached for the network: {report.read_text()}"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a machine remembers for its user is not touched, nor relied on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEVER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _told() -> Iterator[None]:
    """What functions tell is on standard error, as if a command had called them; a command has handlers of its own."""
    handler, level = TerminalHandler(), LOGGER.level
    LOGGER.handlers = [handler]  # whatever a command of an earlier test, or of a fixture, left there
    LOGGER.setLevel("INFO")
    yield
    LOGGER.handlers = []
    LOGGER.setLevel(level)


@pytest.fixture(scope="session")
def strip_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic data set of 16 training and 6 test images, 64x192 pixels, classes about equally often."""
    root = tmp_path_factory.mktemp("strip") / "data"
    settings = SynthSettings(train=16, test=6, height=64, width=192, frequencies="balanced", seed=7, workers=1)
    return write_dataset(root, settings)


@pytest.fixture
def tiny_experiment(strip_root: Path, tmp_path: Path) -> Path:
    """An experiment that trains in seconds: resnet18 from random weights, narrow decoder, two epochs."""
    path = tmp_path / "tiny.yml"
    settings: dict[str, Any] = {
        "name": "tiny",
        "data": {"root": str(strip_root)},
        "folds": {"share": 0.25},
        "model": {"encoder": "resnet18", "weights": "none", "decoder_channels": [16, 16, 8, 8, 8]},
        "augment": {"recipe": "light", "crop": [64, 64]},
        "train": {"epochs": 2, "batch_size": 4, "workers": 0},
        "rules": {"min_pixels": 0},
    }
    path.write_text(yaml.safe_dump(settings))
    return path
