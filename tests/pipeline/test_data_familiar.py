"""`sever data familiar`: a run learns what is normal, inspections say how familiar an image is, strangers are found."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import sever
from run_maker import make_run

from sever.data.layouts import read_folder
from sever.pipeline.inference.load import load_model
from sever.store import Run
from sever.store.normality import NORMALITY
from sever.store.tables import write_table


@pytest.fixture
def run(strip_root: Path, tmp_path: Path) -> Path:
    """A network with random weights, whose features tell strip from noise all the same."""
    folder = make_run(tmp_path / "tiny" / "20260101-000000", strip_root, epochs=(1, 2))
    names = sorted(path.name for path in (strip_root / "train_images").iterdir())
    parts = ["train", "validation"] * (len(names) // 2)
    write_table(Run(folder).folds_file, pd.DataFrame({"image_id": names, "group": None, "fold": 0, "part": parts}))
    return folder


def stranger(folder: Path) -> Path:
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (64, 192), dtype=np.uint8)
    assert cv2.imwrite(str(folder / "noise.png"), noise)
    return folder


def test_strangers_come_first(run: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sever("data", "familiar", run, "--device", "cpu") == 0
    assert "knows its normal images" in capsys.readouterr().out
    images = stranger(tmp_path / "new")
    for path in sorted((strip_root / "test_images").iterdir()):
        (images / path.name).write_bytes(path.read_bytes())
    words = ["data", "familiar", run, "--images", images, "-o", tmp_path / "out", "--device", "cpu"]
    assert sever(*words, "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert (numbers["images"], numbers["first"][0]) == (7, "noise.png")
    table = pd.read_csv(tmp_path / "out" / "familiarity.csv").set_index("image")["familiarity"]
    assert table.is_monotonic_increasing
    # Stranger than all 8 held-out images; an ordinary strip is not.
    assert table["noise.png"] == pytest.approx(1 / 9, abs=1e-4)
    assert table.drop("noise.png").median() > 1 / 9
    found = load_model(run).inspect(images / "noise.png")
    assert found.familiarity == pytest.approx(1 / 9)


def test_it_is_known_for_the_weights_that_it_was_learnt_with_alone(run: Path, strip_root: Path) -> None:
    image = min((strip_root / "test_images").iterdir())
    assert load_model(run).inspect(image).familiarity is None
    assert sever("data", "familiar", run, "--device", "cpu") == 0
    assert load_model(run).inspect(image).familiarity is not None
    assert load_model(Run(run).epoch_folder(1)).inspect(image).familiarity is None


def test_faults_are_told(run: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = strip_root / "test_images"
    assert sever("data", "familiar", run, "--images", images, "-o", tmp_path / "out", "--device", "cpu") == 2
    assert "first run: sever data familiar" in capsys.readouterr().err
    assert sever("data", "familiar", run, "--images", images) == 2
    assert sever("data", "familiar", run, "--device", "cpu") == 0
    (run / NORMALITY).write_bytes(b"no tensors")
    assert sever("data", "familiar", run, "--images", images, "-o", tmp_path / "out", "--device", "cpu") == 2
    assert "learn it again" in capsys.readouterr().err
    few = Run(run)
    frame = pd.read_csv(few.folds_file)
    write_table(few.folds_file, frame.assign(part=["train"] * 12 + ["validation"] * 4))
    (run / NORMALITY).unlink()
    assert sever("data", "familiar", run, "--device", "cpu") == 2
    assert "8 validation images" in capsys.readouterr().err
    assert len(read_folder(images, ("a",))) == 6, "nothing was written among the images"
